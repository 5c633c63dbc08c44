// A form that was sent says so, and is not sent twice. Without this script it works all the same.
const sent = new Map();

addEventListener('submit', (event) => {
  const form = event.target;
  // The form of the sign-in has a script of its own; a search changes nothing, and may be repeated.
  if (form.method !== 'post' || form.dataset.signIn !== undefined) return;
  if (sent.has(form)) return event.preventDefault();
  const button = event.submitter ?? form.querySelector('button');
  sent.set(form, { button, text: button.textContent });
  button.setAttribute('aria-disabled', 'true');
  button.textContent = document.body.dataset.busy;
});

// The page may come back from the browser's memory as it was left.
addEventListener('pageshow', () => {
  for (const { button, text } of sent.values()) {
    button.removeAttribute('aria-disabled');
    button.textContent = text;
  }
  sent.clear();
});
