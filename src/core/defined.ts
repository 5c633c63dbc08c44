/** The same fields, absent instead of undefined. */
type Defined<T> = { [K in keyof T]?: T[K] & ({} | null) };

/** Copies fields without those that are undefined: an optional property may be absent, but not undefined. */
export function defined<T extends object>(fields: T): Defined<T> {
  const kept: Defined<T> = {};
  for (const key in fields) {
    const value = fields[key];
    if (value !== undefined) kept[key] = value;
  }
  return kept;
}
