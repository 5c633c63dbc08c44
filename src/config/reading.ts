/**
 * What became of a text that was parsed: its value, or a sentence that says what is wrong and what to write instead.
 */
export type Reading<T> = { readonly kind: 'ok'; readonly value: T } | { readonly kind: 'wrong'; readonly why: string };

export function read<T>(value: T): Reading<T> {
  return { kind: 'ok', value };
}

export function wrong(why: string): Reading<never> {
  return { kind: 'wrong', why };
}

/** A value as a message may show it: short, on one line, with everything unprintable escaped. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a map';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 76)}…"` : text;
}
