// Everything here is an addition: each page works without it.
'use strict';

const pollMs = 15_000;
const byMark = (mark) => document.querySelector(`[${mark}]`);

for (const time of document.querySelectorAll('time')) {
  const date = new Date(time.dateTime);
  time.textContent = date.toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
}

const densitySwitch = byMark('data-density-switch');
if (densitySwitch) {
  densitySwitch.hidden = false;
  densitySwitch.addEventListener('click', () => {
    const root = document.documentElement;
    root.dataset.density = root.dataset.density === 'compact' ? 'roomy' : 'compact';
    // A cookie that scripts set: the gateway lets it through, unlike the session's.
    document.cookie = `demo_density=${root.dataset.density}; path=/; samesite=lax`;
  });
}

const show = (what, text) => {
  const place = document.querySelector(`[data-live="${what}"]`);
  if (place) place.textContent = text;
};

const draftForm = document.querySelector('form.compose');
const notSent = byMark('data-not-sent');

/** The token of the present session, which may be newer than the draft; undefined after saying why there is none. */
async function freshToken() {
  const response = await fetch('/api/token').catch(() => undefined);
  if (response?.ok) return (await response.json()).token;
  notSent.textContent =
    response?.status === 401
      ? 'Not sent: you were signed out. Your text stays here. Sign in again in another tab, then press Send.'
      : 'Not sent: your mail server is away for a moment. Your text stays here. Press Send again later.';
  notSent.hidden = false;
  return undefined;
}

draftForm?.addEventListener('submit', (event) => {
  event.preventDefault();
  const button = draftForm.querySelector('button');
  button.disabled = true;
  void freshToken().then((token) => {
    button.disabled = false;
    if (token === undefined) return;
    draftForm.elements.namedItem('token').value = token;
    draftForm.submit();
  });
});

let known;
async function poll() {
  const response = await fetch('/api/poll');
  // The session is gone: the gateway shows where to sign in, and comes back here. A draft stays where it is.
  if (response.status === 401 && !draftForm) {
    location.reload();
    return;
  }
  if (!response.ok) {
    show('poll', `answered ${response.status}`);
    return;
  }
  const { backend, total, unseen } = await response.json();
  const count = byMark('data-unseen');
  count.textContent = String(unseen);
  count.hidden = unseen === 0;
  const notice = byMark('data-new-mail');
  if (notice && known !== undefined && total > known) notice.hidden = false;
  known ??= total;
  show('poll', `backend ${backend}: ${total} messages, ${unseen} unread`);
}

if (byMark('data-unseen')) {
  const again = () => void poll().catch(() => show('poll', 'no answer'));
  again();
  setInterval(again, pollMs);
}

if (byMark('data-live')) {
  const events = new EventSource('/api/events');
  events.addEventListener('tick', ({ data }) => {
    const { backend, count } = JSON.parse(data);
    show('events', `event ${count} from backend ${backend}`);
  });
  events.addEventListener('error', () => show('events', 'interrupted'));

  const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/api/echo`);
  socket.addEventListener('message', ({ data }) => show('socket', data));
  socket.addEventListener('close', () => show('socket', 'closed'));
  socket.addEventListener('open', () => socket.send('This sentence went to the backend and came back.'));
}
