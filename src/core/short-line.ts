/** Another program's output as one line of printable characters. */
export function oneLine(text: string): string {
  return text.replace(/[\p{C}\p{Z}\ufffd]+/gu, ' ').trim();
}

/** The same, no longer than `most`: enough for an operator to know it again, and too short to carry a mail. */
export function shortLine(text: string, most = 200): string {
  const line = oneLine(text.slice(0, 4 * most));
  return line.length > most ? `${line.slice(0, most)}…` : line;
}

/** The same in quotes, for words within a sentence of ours. */
export function quoted(text: string, most?: number): string {
  return JSON.stringify(shortLine(text, most));
}
