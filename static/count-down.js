// Says in how many seconds something may be tried again. Without it the page says the number once.
const words = new Intl.NumberFormat(document.documentElement.lang, {
  style: 'unit',
  unit: 'second',
  unitDisplay: 'long',
});
for (const line of document.querySelectorAll('[data-count-down]')) {
  const { countDown, text, done } = line.dataset;
  const endMs = performance.now() + Number(countDown) * 1000;
  const timer = setInterval(() => {
    const seconds = Math.max(0, Math.ceil((endMs - performance.now()) / 1000));
    line.textContent = seconds === 0 && done !== undefined ? done : text.replace('{duration}', words.format(seconds));
    if (seconds === 0) clearInterval(timer);
  }, 250);
}
