const unshown: ReadonlySet<string> = new Set(['head', 'script', 'style', 'title']);
const paragraphs: ReadonlySet<string> = new Set(['p', 'ul', 'ol', 'table', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6']);
const lines: ReadonlySet<string> = new Set(['br', 'div', 'tr', 'li']);
const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', nbsp: ' ', '#39': "'" };

/**
 * HTML mail as plain text, in one pass. It is no sanitiser: its result is text, which a page must escape like any
 * other, so markup that it misses is ugly but never live.
 */
export function textOfHtml(html: string): string {
  let text = '';
  let unshownUntil: string | undefined;
  let at = 0;
  for (const tag of html.matchAll(/<(\/?)([a-z][a-z0-9]*)[^<>]*>/gi)) {
    if (unshownUntil === undefined) text += oneSpaced(html.slice(at, tag.index));
    at = tag.index + tag[0].length;
    const name = (tag[2] ?? '').toLowerCase();
    const closes = tag[1] === '/';
    if (unshownUntil !== undefined) {
      if (closes && name === unshownUntil) unshownUntil = undefined;
    } else if (!closes && unshown.has(name)) {
      unshownUntil = name;
    } else {
      text += breakAt(name, closes);
    }
  }
  if (unshownUntil === undefined) text += oneSpaced(html.slice(at));
  const decoded = text.replace(/&([a-z]+|#39);/gi, (whole, name: string) => entities[name.toLowerCase()] ?? whole);
  return decoded
    .replace(/\n[ \n]*\n/g, '\n\n')
    .replace(/\n /g, '\n')
    .trim();
}

function breakAt(name: string, closes: boolean): string {
  if (name === 'li' && !closes) return '• ';
  if (paragraphs.has(name)) return closes ? '\n\n' : '';
  return lines.has(name) && (closes || name === 'br') ? '\n' : '';
}

function oneSpaced(text: string): string {
  return text.replace(/\s+/g, ' ');
}
