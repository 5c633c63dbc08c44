/** The value of a JSON text from outside, to be checked by whoever asked; nothing for a text that is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
