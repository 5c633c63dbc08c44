/** A line of figures over time as an inline SVG; empty without two figures. Its text stands beside it. */
export function sparkline(values: readonly number[]): string {
  if (values.length < 2) return '';
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const height = 14;
  const at = (value: number) =>
    high === low ? height / 2 : Math.round(height - ((value - low) / (high - low)) * height);
  const steps = values.slice(1).map((value, index) => {
    const by = at(value) - at(values[index] ?? value);
    return by < 0 ? `1${by}` : `1 ${by}`;
  });
  const line = `M0 ${at(values[0] ?? 0)}l${steps.join(' ')}`;
  const box = `viewBox="0 -1 ${values.length - 1} ${height + 2}" preserveAspectRatio="none"`;
  return `<svg class="spark" ${box} aria-hidden="true"><path d="${line}"/></svg>`;
}

/** The least and the greatest of figures, as text; empty without any. */
export function rangeText(values: readonly number[]): string {
  if (values.length === 0) return '';
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return low === high ? String(low) : `${low}–${high}`;
}

/** A part of a whole as a bar; the text beside it says the same. `part` and `whole` are not negative. */
export function bar(part: number, whole: number): string {
  const width = whole === 0 ? 0 : Math.round((part / whole) * 1000) / 10;
  const shape = `<rect class="ground" width="100" height="8"/><rect width="${width}" height="8"/>`;
  return `<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">${shape}</svg>`;
}

/** How strong a figure is among others, from 0 for none to 5 for the greatest. */
export function strength(value: number, greatest: number): number {
  return value <= 0 || greatest <= 0 ? 0 : Math.max(1, Math.ceil((value / greatest) * 5));
}
