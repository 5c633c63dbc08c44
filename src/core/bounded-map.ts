/**
 * A Map of at most `limit` entries: a new one pushes out the one that was set longest ago.
 * Reading is the Map's own and changes no order; to keep an entry that is in use, set it again.
 */
export class BoundedMap<Key, Value> extends Map<Key, Value> {
  readonly #limit: number;

  constructor(limit: number) {
    super();
    this.#limit = limit;
  }

  override set(key: Key, value: Value): this {
    this.delete(key);
    super.set(key, value);
    if (this.size > this.#limit) {
      const [oldest] = this.keys();
      if (oldest !== undefined) this.delete(oldest);
    }
    return this;
  }
}

const sharedTexts = 1_000;

/**
 * Returns one copy of equal texts: a text that many sessions have in common, such as a browser's name, takes memory
 * once. Remembers the thousand texts that came last.
 */
export function createSharedTexts(): (text: string) => string {
  const known = new BoundedMap<string, string>(sharedTexts);
  return (text) => {
    const shared = known.get(text) ?? text;
    known.set(shared, shared);
    return shared;
  };
}
