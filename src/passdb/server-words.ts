import type { ServerWords } from '../core/passdb.ts';
import { oneLine } from '../core/short-line.ts';
import type { TaggedAnswer } from './imap-authentication.ts';

const longest = 200;
/** So many characters of a password in a row are too many for a log. */
const telling = 8;
const heldBack = '(not shown: it repeats the password)';

/**
 * What a server said, as a log and a user may read it: one line, bounded, and nothing of the password, in whatever form
 * a server may repeat it: as it is, in base64 as it was sent, in parts.
 */
export function wordsOf({ code, text }: TaggedAnswer, user: string, password: string): ServerWords {
  const plain = oneLine(text);
  const said = `${code} ${text} ${plain}`.toLowerCase();
  if (formsOf(user, password).some((form) => repeats(said, form.toLowerCase()))) return { text: heldBack };
  const bounded = plain.length > longest ? `${plain.slice(0, longest)}…` : plain;
  return { ...(code === '' ? {} : { code: oneLine(code).slice(0, 40) }), ...(bounded === '' ? {} : { text: bounded }) };
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64').replace(/=+$/, '');
}

function formsOf(user: string, password: string): readonly string[] {
  return [
    password,
    oneLine(password),
    // A server that reads bytes as Latin-1 shows them so.
    Buffer.from(password).toString('latin1'),
    password.replace(/["\\]/g, '\\$&'),
    encodeURIComponent(password),
    base64(password),
    base64(`\0${user}\0${password}`),
  ];
}

function repeats(said: string, form: string): boolean {
  if (form === '') return false;
  for (let at = 0; at === 0 || at + telling <= form.length; at += 1) {
    if (said.includes(form.slice(at, at + telling))) return true;
  }
  return false;
}
