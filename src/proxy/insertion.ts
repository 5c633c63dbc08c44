/** What may stand before the head of a document: byte order mark, white space, comments, the doctype, `<html>`. */
const before =
  /^(?:\u00ef\u00bb\u00bf|\s+|<!--[^]*?-->|<![a-z][^>]*>|<\?[^>]*>|<html(?:\s(?:"[^"]*"|'[^']*'|[^'">])*)?>)/i;
const headTag = /^<head(?:\s(?:"[^"]*"|'[^']*'|[^'">])*)?>/i;
/** Whatever a document begins with, it is decided within these bytes. */
const longest = 64 * 1024;

/**
 * Writes a text into an HTML document, as the first thing in its head. It is fed the document as it comes and gives back
 * what may go on; what it holds back is bounded.
 */
export class Insertion {
  readonly #text: Buffer;
  #held = '';
  #done = false;

  /** @param text ASCII */
  constructor(text: string) {
    this.#text = Buffer.from(text, 'latin1');
  }

  feed(chunk: Buffer): Buffer {
    if (this.#done) return chunk;
    // Bytes as characters: what is looked for is ASCII in every coding that a webmail uses.
    this.#held += chunk.toString('latin1');
    const at = placeIn(this.#held);
    if (at === undefined && this.#held.length < longest) return Buffer.alloc(0);
    return this.#insert(at ?? 0);
  }

  /** What is left when the document ends. */
  finish(): Buffer {
    return this.#done ? Buffer.alloc(0) : this.#insert(placeIn(`${this.#held}<body>`) ?? 0);
  }

  #insert(at: number): Buffer {
    this.#done = true;
    const held = Buffer.from(this.#held, 'latin1');
    this.#held = '';
    return Buffer.concat([held.subarray(0, at), this.#text, held.subarray(at)]);
  }
}

/** Where the text goes; nothing while the beginning is not all there. */
function placeIn(document: string): number | undefined {
  let at = 0;
  let rest = document;
  for (let found = before.exec(rest); found !== null; found = before.exec(rest)) {
    at += found[0].length;
    rest = document.slice(at);
  }
  const head = headTag.exec(rest);
  if (head !== null) return at + head[0].length;
  return isUndecided(rest) ? undefined : at;
}

/** Whether what is there may still become a comment, a doctype, `<html>` or `<head>`. */
function isUndecided(rest: string): boolean {
  if (rest === '') return true;
  if (/^<(?:!|\?|html[\s>]|head[\s>])/i.test(rest)) return true;
  const start = rest.slice(0, 6).toLowerCase();
  return ['<html>', '<head>', '\u00ef\u00bb\u00bf'].some((tag) => tag.startsWith(start));
}
