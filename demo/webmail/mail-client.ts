import type { Readable } from 'node:stream';
import { type FetchMessageObject, ImapFlow, type MessageAddressObject, type MessageStructureObject } from 'imapflow';
import { textOfHtml } from './text-of-html.ts';

/** The address of a backend's mail server, for IMAP over TLS. */
export interface ImapAddress {
  readonly hostname: string;
  /** The name that its certificate must have; that of the host if left out. */
  readonly tlsName?: string;
  readonly port: number;
  /** The certificate to trust, in PEM. */
  readonly ca: string;
}

/** The user of a mailbox; with `actor`, it is opened by a master user's name and password. */
export interface MailboxKey {
  readonly user: string;
  readonly password: string;
  readonly actor?: string;
  /** The address of the browser, passed on by IMAP ID. */
  readonly clientAddress?: string;
}

/** The key to the mailbox of a name as typed: `alice@example.test*support` is alice's, by the master user `support`. */
export function keyOf(typed: string, password: string): MailboxKey {
  const [user = '', actor] = typed.split('*', 2);
  return actor === undefined ? { user, password } : { user, actor, password };
}

export interface MessageSummary {
  readonly uid: number;
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  readonly date: Date;
  readonly seen: boolean;
  readonly size: number;
}

/** A part of a message that can be downloaded. */
export interface AttachmentSummary {
  readonly part: string;
  readonly filename: string;
  readonly size: number;
}

export interface OpenedMessage extends MessageSummary {
  readonly text: string;
  readonly attachments: readonly AttachmentSummary[];
}

/** The server refused the user's password. */
export class MailboxRefused extends Error {}

/**
 * Opens a mailbox for as long as `use` runs: one IMAP connection per request of the browser, as webmails in PHP do.
 * Rejects with {@link MailboxRefused} if the server refuses the password.
 */
export async function withMailbox<T>(
  address: ImapAddress,
  key: MailboxKey,
  use: (client: ImapFlow) => Promise<T>,
): Promise<T> {
  const { actor, user, password, clientAddress } = key;
  const client = new ImapFlow({
    host: address.hostname,
    ...(address.tlsName === undefined ? {} : { servername: address.tlsName }),
    port: address.port,
    secure: true,
    tls: { ca: address.ca },
    auth:
      actor === undefined
        ? { user, pass: password }
        : { user: actor, pass: password, authzid: user, loginMethod: 'AUTH=PLAIN' },
    clientInfo: { name: 'Demo mail', ...(clientAddress === undefined ? {} : { 'x-originating-ip': clientAddress }) },
    connectionTimeout: 3000,
    greetingTimeout: 3000,
    socketTimeout: 60_000,
    disableAutoIdle: true,
    logger: false,
  });
  // Without a listener a late socket error would end the process; a pending call rejects by itself.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await use(client);
  } catch (error) {
    if (error instanceof Error && 'authenticationFailed' in error && error.authenticationFailed === true) {
      throw new MailboxRefused('The IMAP server refused the password', { cause: error });
    }
    throw error;
  } finally {
    client.close();
  }
}

/** The messages of a folder, newest first. */
export async function listMessages(client: ImapFlow, folder: string): Promise<readonly MessageSummary[]> {
  const { exists } = await client.mailboxOpen(folder, { readOnly: true });
  if (exists === 0) return [];
  const messages = await client.fetchAll('1:*', { uid: true, envelope: true, flags: true, size: true });
  return messages.map(summaryOf).toReversed();
}

/** The numbers of unread messages and of all messages in the INBOX. */
export async function countInbox(client: ImapFlow): Promise<{ readonly total: number; readonly unseen: number }> {
  const status = await client.status('INBOX', { messages: true, unseen: true });
  if (status === false) throw new Error('The IMAP server does not count the INBOX');
  return { total: status.messages ?? 0, unseen: status.unseen ?? 0 };
}

/** Reads a message with its text and a list of attachments, and marks it as seen; undefined if there is none. */
export async function openMessage(client: ImapFlow, folder: string, uid: number): Promise<OpenedMessage | undefined> {
  await client.mailboxOpen(folder);
  const query = { uid: true, envelope: true, flags: true, size: true, bodyStructure: true } as const;
  const message = await client.fetchOne(String(uid), query, { uid: true });
  if (message === false || message?.bodyStructure === undefined) return undefined;
  const leaves = leavesOf(message.bodyStructure);
  const shown = leaves.find(isShown('text/plain')) ?? leaves.find(isShown('text/html'));
  let text = '';
  if (shown !== undefined) {
    const download = await client.download(String(uid), shown.part ?? '1', { uid: true, maxBytes: 512 * 1024 });
    text = await textOf(download.content);
  }
  await client.messageFlagsAdd(String(uid), ['\\Seen'], { uid: true });
  const attachments = leaves
    .filter((leaf) => leaf !== shown)
    .map((leaf) => ({ part: leaf.part ?? '1', filename: filenameOf(leaf), size: decodedSize(leaf) }));
  return { ...summaryOf(message), text: shown?.type === 'text/html' ? textOfHtml(text) : text, attachments };
}

/** Sends the decoded bytes of a part to `take`; false if there is no such part. */
export async function readPart(
  client: ImapFlow,
  where: { readonly folder: string; readonly uid: number; readonly part: string },
  take: (filename: string, content: Readable) => Promise<void>,
): Promise<boolean> {
  await client.mailboxOpen(where.folder, { readOnly: true });
  const { meta, content } = await client.download(String(where.uid), where.part, { uid: true });
  if (content === undefined) return false;
  await take(meta?.filename ?? `part-${where.part}`, content);
  return true;
}

function summaryOf(message: FetchMessageObject): MessageSummary {
  const { envelope, flags, size, uid } = message;
  return {
    uid,
    from: envelope?.from?.map(named).join(', ') ?? '',
    to: envelope?.to?.map(named).join(', ') ?? '',
    subject: envelope?.subject ?? '',
    date: knownDate(envelope?.date),
    seen: flags?.has('\\Seen') ?? false,
    size: size ?? 0,
  };
}

/** The time of a Date field, which comes from the sender: text that is no date becomes the epoch. */
function knownDate(date: Date | string | undefined): Date {
  const known = new Date(date ?? 0);
  return Number.isNaN(known.getTime()) ? new Date(0) : known;
}

function named({ name, address }: MessageAddressObject): string {
  return name === undefined || name === '' ? (address ?? '') : `${name} <${address ?? ''}>`;
}

function leavesOf(node: MessageStructureObject): readonly MessageStructureObject[] {
  return node.childNodes === undefined || node.childNodes.length === 0 ? [node] : node.childNodes.flatMap(leavesOf);
}

function isShown(type: string): (leaf: MessageStructureObject) => boolean {
  return (leaf) => leaf.type === type && leaf.disposition !== 'attachment';
}

function filenameOf(leaf: MessageStructureObject): string {
  return leaf.dispositionParameters?.['filename'] ?? leaf.parameters?.['name'] ?? `part-${leaf.part ?? '1'}`;
}

function decodedSize({ encoding, size = 0 }: MessageStructureObject): number {
  return encoding === 'base64' ? Math.floor((size * 57) / 78) : size;
}

async function textOf(content: Readable | undefined): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of content ?? []) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}
