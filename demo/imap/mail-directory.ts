import { randomUUID } from 'node:crypto';
import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type Account, accountOf, type Folder, type MailStore, type StoredMessage } from './mailbox.ts';
import { parseMime } from './mime.ts';

/**
 * Mail in files, `ADDRESS/FOLDER/UID.eml` below a directory, which several servers may share: each sees at once what
 * another stored.
 */
export function createMailDirectory(directory: string): MailStore {
  return {
    account: (name, password, uidValidity): Account =>
      accountOf(name, password, (folder, attribute) => {
        const place = join(directory, name, folder);
        mkdirSync(place, { recursive: true, mode: 0o700 });
        return folderIn(place, { name: folder, attribute, uidValidity });
      }),
  };
}

function folderIn(place: string, about: Pick<Folder, 'name' | 'attribute' | 'uidValidity'>): Folder {
  const known = new Map<number, StoredMessage>();
  const messageOf = (uid: number): StoredMessage => {
    const message = known.get(uid) ?? messageIn(place, uid);
    known.set(uid, message);
    return message;
  };
  return {
    ...about,
    get messages() {
      return uidsIn(place).map(messageOf);
    },
    append(source, flags, receivedAt) {
      const draft = join(place, randomUUID());
      writeFileSync(draft, source, { mode: 0o600 });
      utimesSync(draft, receivedAt, receivedAt);
      let uid = uidsIn(place).length + 1;
      while (!isLinked(draft, fileOf(place, uid))) uid += 1;
      rmSync(draft);
      const message = messageOf(uid);
      message.setFlags(flags);
      return message;
    },
  };
}

/** The UIDs of a folder, in order. No message is ever removed, so that they count from 1. */
function uidsIn(place: string): readonly number[] {
  const names = readdirSync(place).filter((name) => name.endsWith('.eml'));
  return names.map((name) => Number.parseInt(name, 10)).sort((one, other) => one - other);
}

function fileOf(place: string, uid: number): string {
  return join(place, `${uid}.eml`);
}

/** Gives a file a second name. False if the name is taken: another server was faster. */
function isLinked(file: string, name: string): boolean {
  try {
    linkSync(file, name);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

function messageIn(place: string, uid: number): StoredMessage {
  const file = fileOf(place, uid);
  const source = readFileSync(file);
  const flagsFile = join(place, `${uid}.flags`);
  let parsed: ReturnType<typeof parseMime> | undefined;
  return {
    uid,
    receivedAt: statSync(file).mtime,
    source,
    mime: () => (parsed ??= parseMime(source)),
    get flags() {
      return new Set(
        textOf(flagsFile)
          .split(' ')
          .filter((flag) => flag !== ''),
      );
    },
    setFlags(flags) {
      const draft = join(place, randomUUID());
      writeFileSync(draft, [...flags].join(' '), { mode: 0o600 });
      renameSync(draft, flagsFile);
    },
  };
}

/** The text of a file; empty if there is none. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw error;
  }
}
