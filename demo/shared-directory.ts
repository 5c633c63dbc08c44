import { lstat, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createCertificate, type KeyPair } from './certificate.ts';
import type { MailStore } from './imap/mailbox.ts';
import { createMailDirectory } from './imap/mail-directory.ts';
import { seededMail } from './seed-mail.ts';

/** What all hosts of the demo have in common, as servers before one storage do. */
export interface SharedDirectory {
  readonly mail: MailStore;
  /** Of every IMAP server. */
  readonly keyPair: KeyPair;
  /** The file with the certificate, for `tls_ca_file`. */
  readonly certificateFile: string;
}

/**
 * Opens `shared` in this directory: the mail of everybody, and a certificate for these host names and loopback, valid
 * for 30 days. Whoever comes first makes it. Rejects if the directory belongs to another user than this one or root.
 */
export async function openSharedDirectory(
  directory: string,
  names: readonly string[],
  nowMs: number,
): Promise<SharedDirectory> {
  const place = join(directory, 'shared');
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const { uid } = await lstat(directory);
  // Who made the folder could give this machine mail, and the gateway a certificate.
  if (uid !== 0 && uid !== process.getuid?.()) {
    throw new Error(`${directory} belongs to another user (uid ${uid}): name a directory of your own`);
  }
  await fill(place, await mkdtemp(join(directory, 'new-')), names, nowMs);
  const files = { certificate: join(place, 'imap.crt'), key: join(place, 'imap.key') };
  const [certificate, key] = await Promise.all([readFile(files.certificate, 'utf8'), readFile(files.key, 'utf8')]);
  return {
    mail: createMailDirectory(join(place, 'mail')),
    keyPair: { certificate, key },
    certificateFile: files.certificate,
  };
}

/** Makes everything in `draft`, and gives it its name in one step, so that no other host sees the half of it. */
async function fill(place: string, draft: string, names: readonly string[], nowMs: number): Promise<void> {
  const { certificate, key } = createCertificate(['127.0.0.1', 'localhost', ...names], nowMs);
  await writeFile(join(draft, 'imap.crt'), certificate);
  await writeFile(join(draft, 'imap.key'), key, { mode: 0o600 });
  const mail = createMailDirectory(join(draft, 'mail'));
  for (const { owner, source, flags, date } of seededMail(nowMs)) {
    mail.account(owner.address, owner.password, 1).folders[0]?.append(source, flags, date);
  }
  try {
    await rename(draft, place);
  } catch (error) {
    await rm(draft, { recursive: true });
    if (!(error instanceof Error && 'code' in error && (error.code === 'ENOTEMPTY' || error.code === 'EEXIST')))
      throw error;
  }
}
