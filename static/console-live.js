// Keeps the table up to date. Without this script, or without its stream, a reload of the page does the same.
const place = document.querySelector('[data-stream]');
const table = place.querySelector('table');
const strip = place.querySelector('[data-strip]');
const status = place.querySelector('[data-live]');
const button = document.createElement('button');
button.type = 'button';
button.className = 'quiet small';
status.after(button);
let stream;
let isOver = false;

function say(text, action) {
  if (status.textContent !== text) status.textContent = text;
  if (button.textContent !== action) button.textContent = action;
}

// What a link or a button does, by which it is found again.
function doingOf(element) {
  return element.getAttribute('href') ?? `${element.name}=${element.value}`;
}

// The focus stays on the link or button on which it was, as far as that is still there.
function keepFocus(change) {
  const doing = table.contains(document.activeElement) ? doingOf(document.activeElement) : null;
  change();
  if (doing === null || table.contains(document.activeElement)) return;
  [...table.querySelectorAll('a, button')].find((element) => doingOf(element) === doing)?.focus();
}

// Rows with buttons stay as they are under the pointer: another row's button must not come under a click.
let later;
function show(bodies) {
  later = undefined;
  if (table.querySelector('button') && table.matches(':hover')) {
    later = bodies;
    return;
  }
  keepFocus(() => {
    while (table.tBodies.length > 0) table.tBodies[0].remove();
    table.append(...bodies);
  });
}
table.addEventListener('pointerleave', () => later && show(later));

function begin() {
  stream = new EventSource(place.dataset.stream);
  say('Live: renewed every 5 s.', 'Pause');
  stream.addEventListener('rows', ({ data }) => {
    // A table in a template keeps its rows; they hold no script, and the policy of the page would run none.
    const fresh = document.createElement('template');
    fresh.innerHTML = `<table>${data}</table>`;
    show([...fresh.content.firstElementChild.tBodies]);
  });
  stream.addEventListener('strip', ({ data }) => {
    const fresh = document.createElement('template');
    fresh.innerHTML = data;
    keepFocus(() => strip.replaceChildren(fresh.content));
  });
  stream.addEventListener('ended', () => {
    end();
    isOver = true;
    say('Your session has ended.', 'Sign in');
  });
  stream.addEventListener('error', () => {
    if (stream?.readyState === EventSource.CLOSED) say('Not live any more.', 'Go on');
    else say('The connection is interrupted.', 'Pause');
  });
  stream.addEventListener('open', () => say('Live: renewed every 5 s.', 'Pause'));
}

function end() {
  stream?.close();
  stream = undefined;
}

button.addEventListener('click', () => {
  if (isOver) return location.assign('/-/login');
  if (stream === undefined || stream.readyState === EventSource.CLOSED) return begin();
  end();
  say('Paused.', 'Go on');
});
begin();
