import { randomUUID } from 'node:crypto';

interface Mailbox {
  readonly name?: string;
  readonly address: string;
}

export interface Attachment {
  readonly filename: string;
  readonly type: string;
  readonly content: Buffer;
}

export interface NewMessage {
  readonly from: Mailbox;
  readonly to: readonly Mailbox[];
  readonly subject: string;
  readonly date: Date;
  readonly text: string;
  /** The only body, sent instead of `text`. */
  readonly html?: string;
  readonly attachments?: readonly Attachment[];
}

/**
 * A message as it is stored and sent (RFC 5322, RFC 2045): ASCII only, lines of at most 998 bytes, CRLF.
 *
 * Control characters in names and subjects become spaces, so that no value can start a field.
 */
export function composeMessage(message: NewMessage): Buffer {
  const { from, to, subject, date, attachments = [] } = message;
  const head = [
    `From: ${mailboxField(from)}`,
    `To: ${to.map(mailboxField).join(',\r\n ')}`,
    `Subject: ${unstructured(subject)}`,
    `Date: ${date.toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: <${randomUUID()}@demo.invalid>`,
    'MIME-Version: 1.0',
  ];
  const body = part(
    `text/${message.html === undefined ? 'plain' : 'html'}; charset=utf-8`,
    [],
    Buffer.from(crlf(message.html ?? message.text)),
  );
  if (attachments.length === 0) return Buffer.from([...head, body].join('\r\n'));

  const boundary = `part-${randomUUID()}`;
  const parts = [body, ...attachments.map(attachmentPart)].map((each) => `--${boundary}\r\n${each}`);
  head.push(`Content-Type: multipart/mixed; boundary="${boundary}"`, '', '');
  return Buffer.from(`${head.join('\r\n')}${parts.join('')}--${boundary}--\r\n`);
}

function attachmentPart({ filename, type, content }: Attachment): string {
  const safeType = /^[\w.+-]+\/[\w.+-]+$/.test(type) ? type : 'application/octet-stream';
  // The form of RFC 2231 is the only one for every name.
  const name = `filename*=utf-8''${encodeURIComponent(filename).replace(/['()*!]/g, percent)}`;
  return part(safeType, [`Content-Disposition: attachment; ${name}`], content);
}

function part(type: string, fields: readonly string[], content: Buffer): string {
  const lines = content.toString('base64').replace(/.{76}(?=.)/g, '$&\r\n');
  return [`Content-Type: ${type}`, ...fields, 'Content-Transfer-Encoding: base64', '', lines, ''].join('\r\n');
}

function mailboxField({ name, address }: Mailbox): string {
  if (name === undefined || name === '') return plainAddress(address);
  const shown = /^[\w .-]+$/.test(name) ? `"${name}"` : encodedWords(oneLine(name));
  return `${shown} <${plainAddress(address)}>`;
}

/** An address for angle brackets. Characters that it may not contain become question marks. */
function plainAddress(address: string): string {
  return address.replace(/[^\x21-\x7e]|[<>,;:"\\()]/g, '?').slice(0, 254);
}

function unstructured(text: string): string {
  const line = oneLine(text);
  return /^[\x20-\x7e]{0,900}$/.test(line) && !line.includes('=?') ? line : encodedWords(line);
}

/** Encoded words (RFC 2047) of at most 75 characters, none of which splits a character. */
function encodedWords(text: string): string {
  const words: string[] = [];
  let word = '';
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    if (word !== '' && Buffer.byteLength(word + segment) > 42) {
      words.push(word);
      word = '';
    }
    word += segment;
  }
  words.push(word);
  return words.map((each) => `=?utf-8?B?${Buffer.from(each).toString('base64')}?=`).join('\r\n ');
}

function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f]+/g, ' ').trim();
}

function crlf(text: string): string {
  return text.replace(/\r\n?|\n/g, '\r\n');
}

function percent(sign: string): string {
  return `%${sign.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}
