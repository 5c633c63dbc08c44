// Everything here is a comfort: without it the page works all the same.
const form = document.querySelector('form[data-sign-in]');
const password = form.elements.password;
const submit = form.querySelector('button[type=submit]');
const submitText = submit.textContent;

// Some webmails show all times in UTC unless they are told.
const timeZone = form.elements.time_zone;
if (timeZone) timeZone.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? '';

// The place within the page that was asked for stays behind the address; another language must not lose it.
for (const link of document.querySelectorAll('.languages a')) link.hash = location.hash;

const show = form.querySelector('button.show');
show.hidden = false;
function reveal(shown) {
  password.type = shown ? 'text' : 'password';
  show.setAttribute('aria-pressed', String(shown));
}
show.addEventListener('click', () => {
  reveal(password.type === 'password');
  password.focus();
});

const capsLock = document.getElementById('caps-lock');
for (const kind of ['keydown', 'keyup', 'mousedown']) {
  password.addEventListener(kind, (event) => {
    // A password manager's event is no keyboard's.
    const on = event.getModifierState?.('CapsLock') === true;
    const text = on ? capsLock.dataset.text : '';
    if (capsLock.textContent !== text) capsLock.textContent = text;
  });
}
// While a pointer is down nothing may move, or its click misses the button that it is meant for.
let isPressed = false;
function forget() {
  if (!isPressed && document.activeElement !== password) capsLock.textContent = '';
}
addEventListener('pointerdown', () => {
  isPressed = true;
});
for (const kind of ['pointerup', 'pointercancel']) {
  addEventListener(kind, () => {
    isPressed = false;
    setTimeout(forget);
  });
}
password.addEventListener('blur', () => setTimeout(forget));

function busy(is) {
  submit.setAttribute('aria-disabled', String(is));
  submit.textContent = is ? form.dataset.busy : submitText;
}
form.addEventListener('submit', (event) => {
  if (submit.getAttribute('aria-disabled') === 'true') {
    event.preventDefault();
    return;
  }
  // As text it would be remembered among the browser's form entries.
  reveal(false);
  busy(true);
});
// The page may come back from the browser's memory as it was left.
addEventListener('pageshow', () => busy(false));
