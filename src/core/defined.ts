/** An object whose fields are absent where they could be undefined. */
type Defined<T> = { [K in keyof T]?: T[K] & ({} | null) };

/** The given fields without those that are undefined: an optional property may be absent, but not undefined. */
export function defined<T extends object>(fields: T): Defined<T> {
  const kept: Defined<T> = {};
  for (const key in fields) {
    const value = fields[key];
    if (value !== undefined) kept[key] = value;
  }
  return kept;
}
