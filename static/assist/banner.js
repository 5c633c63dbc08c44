'use strict';

// Stands in every page of a mailbox that support has opened. It says so, counts down, and can end it.
// A block of its own: the webmail's scripts may use the same names.
{
  const page = document;
  const { texts, leftMs, token, style } = JSON.parse(page.currentScript.dataset.banner);

  function element(name, properties, ...children) {
    const made = Object.assign(page.createElement(name), properties);
    made.append(...children);
    return made;
  }

  const time = element('time', { className: 'left' });
  const spoken = element('span', { className: 'spoken' });
  spoken.setAttribute('role', 'status');
  const stop = element(
    'form',
    { method: 'post', action: '/-/assist/stop', target: '_top' },
    element('input', { type: 'hidden', name: 'token', value: token }),
    element('button', { type: 'submit', textContent: texts.stop }),
  );
  const bar = element(
    'div',
    { className: 'bar' },
    // Whose mailbox it is comes first and whole, whatever room there is.
    element('strong', { textContent: texts.subject }),
    element('span', { className: 'why', textContent: `${texts.by}: ${texts.why}`, title: `${texts.by}: ${texts.why}` }),
    time,
    spoken,
    stop,
  );
  bar.setAttribute('role', 'region');
  bar.setAttribute('aria-label', texts.label);

  // A long name takes more lines, and the page makes room for them.
  new ResizeObserver(() => {
    page.documentElement.style.setProperty('--postern-assist-room', `${bar.offsetHeight}px`);
  }).observe(bar);

  // Out of reach of the webmail's styles, as far as a page can be kept from its own parts.
  const host = page.createElement('postern-assist');
  host.attachShadow({ mode: 'closed' }).append(element('link', { rel: 'stylesheet', href: style }), bar);

  function show() {
    page.documentElement.classList.add('postern-assisted');
    // Before everything else, also for those who go from link to link; and not in the body, which is moved down.
    if (page.body !== null) page.body.before(host);
  }

  // By no clock of the browser's, which may be wrong.
  const endsAtMs = performance.now() + leftMs;
  const announced = new Set();
  function tick() {
    const left = Math.max(0, Math.ceil((endsAtMs - performance.now()) / 1000));
    time.textContent = texts.left.replace('{time}', `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`);
    for (const minutes of [5, 1]) {
      if (left > minutes * 60 || announced.has(minutes)) continue;
      announced.add(minutes);
      spoken.textContent = time.textContent;
    }
    if (left === 0) location.replace('/-/login?ended=absolute');
    // A page may write itself anew.
    if (!host.isConnected) show();
  }

  if (page.readyState === 'loading') page.addEventListener('DOMContentLoaded', show);
  else show();
  tick();
  setInterval(tick, 1000);
}
