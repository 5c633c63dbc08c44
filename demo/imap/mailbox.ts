import { type MimePart, parseMime } from './mime.ts';

/** A message in a folder. */
export interface StoredMessage {
  readonly uid: number;
  readonly flags: Set<string>;
  readonly receivedAt: Date;
  readonly source: Buffer;
  /** Parsed at first use. */
  readonly mime: () => MimePart;
}

export interface Folder {
  readonly name: string;
  readonly attribute: string | undefined;
  readonly uidValidity: number;
  /** In the order of their UIDs; never removed, so that a sequence number is an index plus one. */
  readonly messages: readonly StoredMessage[];
  append(source: Buffer, flags: readonly string[], receivedAt: Date): StoredMessage;
}

export interface Account {
  readonly name: string;
  readonly password: string;
  /** The folders, INBOX first. */
  readonly folders: readonly Folder[];
}

/** An account with an empty INBOX and an empty Sent folder, all in memory. */
export function createAccount(name: string, password: string, uidValidity: number): Account {
  return {
    name,
    password,
    folders: [createFolder('INBOX', undefined, uidValidity), createFolder('Sent', '\\Sent', uidValidity)],
  };
}

/** The folder of this name (INBOX in any case); undefined if there is none. */
export function folderOf(account: Account, name: string): Folder | undefined {
  const wanted = name.toUpperCase() === 'INBOX' ? 'INBOX' : name;
  return account.folders.find((folder) => folder.name === wanted);
}

function createFolder(name: string, attribute: string | undefined, uidValidity: number): Folder {
  const messages: StoredMessage[] = [];
  return {
    name,
    attribute,
    uidValidity,
    messages,
    append(source, flags, receivedAt) {
      let parsed: MimePart | undefined;
      const message: StoredMessage = {
        uid: messages.length + 1,
        flags: new Set(flags),
        receivedAt,
        source,
        mime: () => (parsed ??= parseMime(source)),
      };
      messages.push(message);
      return message;
    },
  };
}
