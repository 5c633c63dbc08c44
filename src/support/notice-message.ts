import type { CanonicalUser } from '../core/names.ts';
import { oneLine } from '../core/text.ts';
import type { Notice } from './notices.ts';

/** One language of the message. */
export interface NoticeLanguage {
  /** A BCP 47 tag. */
  readonly tag: string;
  readonly text: (
    key: 'noticeMessage.subject' | 'noticeMessage.text' | 'noticeMessage.reason' | 'noticeMessage.question',
    values?: Readonly<Record<string, string>>,
  ) => string;
}

/** Sender, recipient and Message-ID of a notice. */
interface NoticeEnvelope {
  readonly to: CanonicalUser;
  /** The name of the site, and the domain of its sender address. */
  readonly from: { readonly name: string; readonly domain: string };
  /** The unique part of the Message-ID before the `@`, of letters and digits. */
  readonly id: string;
}

/**
 * A message (RFC 5322, CRLF, only ASCII on the wire) that tells a user who opened the mailbox, when, why and for how
 * long, in each language after another. No value can start a header field or a part: text in a header other than plain
 * ASCII becomes encoded words (RFC 2047), and the body is base64.
 */
export function noticeMessage(
  notice: Notice,
  { to, from, id }: NoticeEnvelope,
  languages: readonly [NoticeLanguage, ...NoticeLanguage[]],
): string {
  const [first] = languages;
  const text = languages.map((language) => noticeText(language, notice)).join('\r\n\r\n-- \r\n\r\n');
  return [
    `Date: ${new Date(notice.atMs).toUTCString().replace('GMT', '+0000')}`,
    `From: ${senderName(from.name)} <postmaster@${from.domain}>`,
    `To: ${recipientAddress(to)}`,
    `Subject: ${headerText(first.text('noticeMessage.subject'))}`,
    `Message-ID: <${id}@${from.domain}>`,
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: base64',
    `Content-Language: ${languages.map(({ tag }) => tag).join(', ')}`,
    // No vacation responder answers such a message (RFC 3834).
    'Auto-Submitted: auto-generated',
    '',
    ...(Buffer.from(text)
      .toString('base64')
      .match(/.{1,76}/g) ?? []),
    '',
  ].join('\r\n');
}

function noticeText({ tag, text }: NoticeLanguage, { actor, reason, minutes, atMs }: Notice): string {
  const format = new Intl.DateTimeFormat(tag, { dateStyle: 'full', timeStyle: 'long' });
  const values = { actor: oneLine(actor), time: format.format(atMs), minutes: String(minutes) };
  return [
    text('noticeMessage.text', values),
    text('noticeMessage.reason', { reason: oneLine(reason) }),
    text('noticeMessage.question'),
    '',
  ].join('\r\n\r\n');
}

/** The unstructured text of a header, plain or as encoded words of at most 75 characters. */
function headerText(text: string): string {
  const clean = oneLine(text);
  return /^[\x20-\x7e]{0,60}$/.test(clean) && !clean.includes('=?') ? clean : encodedWords(clean);
}

/** The name of a sender, quoted or as encoded words. */
function senderName(text: string): string {
  const clean = oneLine(text);
  return /^[\x20-\x7e]{1,60}$/.test(clean) && !clean.includes('=?')
    ? `"${clean.replace(/["\\]/g, '\\$&')}"`
    : encodedWords(clean);
}

/** Encoded words. None may split a character (RFC 2047, 5); 45 bytes are 60 characters of base64. */
function encodedWords(text: string): string {
  const parts: string[] = [''];
  for (const character of text) {
    const last = parts.at(-1) ?? '';
    if (Buffer.byteLength(last + character) > 45) parts.push(character);
    else parts[parts.length - 1] = last + character;
  }
  return parts.map((part) => `=?utf-8?B?${Buffer.from(part).toString('base64')}?=`).join('\r\n ');
}

/** The user's name as an address; an empty group if it is none. */
function recipientAddress(user: CanonicalUser): string {
  const at = user.lastIndexOf('@');
  const [local, domain] = [user.slice(0, at), user.slice(at + 1)];
  if (at < 1 || !/^[\x21-\x7e]+$/.test(user)) return 'undisclosed-recipients:;';
  const isAtom = /^[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*$/.test(local);
  return `<${isAtom ? local : `"${local.replace(/["\\]/g, '\\$&')}"`}@${domain}>`;
}
