import { type MimePart, parseMime } from './mime.ts';

/** A message in a folder. */
export interface StoredMessage {
  readonly uid: number;
  readonly flags: ReadonlySet<string>;
  readonly receivedAt: Date;
  readonly source: Buffer;
  /** Parsed at first use. */
  readonly mime: () => MimePart;
  /** Replaces all flags. */
  setFlags(flags: Iterable<string>): void;
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

/** Where accounts keep their mail. */
export interface MailStore {
  /** An account with an INBOX and a Sent folder, and the mail that is there already. */
  account(name: string, password: string, uidValidity: number): Account;
}

/** Mail in memory: each account begins empty. */
export const memory: MailStore = {
  account: (name, password, uidValidity) =>
    accountOf(name, password, (folder, attribute) => createFolder(folder, attribute, uidValidity)),
};

/** An account with the folders that every account has. */
export function accountOf(
  name: string,
  password: string,
  open: (folder: string, attribute: string | undefined) => Folder,
): Account {
  return { name, password, folders: [open('INBOX', undefined), open('Sent', '\\Sent')] };
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
      let held = new Set(flags);
      const message: StoredMessage = {
        uid: messages.length + 1,
        receivedAt,
        source,
        mime: () => (parsed ??= parseMime(source)),
        get flags() {
          return held;
        },
        setFlags(next) {
          held = new Set(next);
        },
      };
      messages.push(message);
      return message;
    },
  };
}
