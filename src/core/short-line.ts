/** Turns another program's output into one line of printable characters. */
export function oneLine(text: string): string {
  return text.replace(/[\p{C}\p{Z}\ufffd]+/gu, ' ').trim();
}

/** Cuts such a line to `most` characters: enough for an operator to recognise it, too short to carry a mail. */
export function shortLine(text: string, most = 200): string {
  const line = oneLine(text.slice(0, 4 * most));
  return line.length > most ? `${line.slice(0, most)}…` : line;
}

/** Quotes such a short line, for use in a sentence. */
export function quoted(text: string, most?: number): string {
  return JSON.stringify(shortLine(text, most));
}
