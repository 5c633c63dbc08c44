import { BoundedMap } from './bounded-map.ts';

const remembered = 1_000;

/**
 * Gives equal texts as one: what many sessions have in common, such as a browser's name, is then kept once.
 * Remembers the thousand that came last.
 */
export function createSharedTexts(): (text: string) => string {
  const known = new BoundedMap<string, string>(remembered);
  return (text) => {
    const shared = known.get(text) ?? text;
    known.set(shared, shared);
    return shared;
  };
}
