/** Parses a JSON text from outside; undefined if it is not JSON. The caller checks the value. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
