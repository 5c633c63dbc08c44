import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DebianRoot } from '../debian-root.fixture.ts';
import type { TestCertificate } from '../passdb/certificates.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { connects, release, startProgram } from '../programs.ts';
import { type DovecotGeneration, dovecotConfiguration } from './dovecot-configurations.fixture.ts';

export const masterPassword = 'the-password-of-the-gateway';

export interface OwnDovecot {
  readonly port: number;
  /** The port of IMAP over TLS; 0 if there is none. */
  readonly tlsPort: number;
  log(): Promise<string>;
  stop(): Promise<void>;
}

/** The lines of the sample that restricts masters: the gateway may do everything, `support` may only read. */
const acls = '* user=gateway lrwstipekxa\n* user=support lr\n';

/** The samples of one generation; without the plugin acl, postern.conf is tried alone. */
export const dovecotSamples = ['postern.conf', 'restricted-master.conf', 'last-login.conf'] as const;

/** The text of a sample of integrations/dovecot. */
export function readDovecotSample(generation: DovecotGeneration, name: string): Promise<string> {
  return readFile(new URL(`../../integrations/dovecot/${generation}/${name}`, import.meta.url), 'utf8');
}

/**
 * A Dovecot of the test's own, on a free port, with the sample configurations of integrations/dovecot included; with a
 * certificate on another port over TLS, too. With a `root` of Debian 13 it is Dovecot 2.4, in there,
 * and so it is where the servers of Debian 13 are tested (LAB_RELEASE).
 */
export async function startDovecot(
  directory: string,
  users: Readonly<Record<string, string>>,
  certificate?: TestCertificate,
  root?: DebianRoot,
): Promise<OwnDovecot> {
  const generation = root !== undefined || release === 'trixie' ? '2.4' : '2.3';
  const port = await freePort();
  const tlsPort = certificate === undefined ? 0 : await freePort();
  const at = (name: string): string => join(directory, name);
  for (const name of ['run', 'mail']) await mkdir(at(name), { recursive: true });
  await chmod(directory, 0o755);
  await chmod(at('mail'), 0o777);
  await writeFile(
    at('users'),
    Object.entries(users)
      .map(([user, password]) => `${user}:{PLAIN}${password}\n`)
      .join(''),
  );
  await writeFile(at('master-users'), `gateway:{PLAIN}${masterPassword}\nsupport:{PLAIN}${masterPassword}\n`);
  await writeFile(at('acls'), acls);
  for (const name of dovecotSamples) {
    const sample = await readDovecotSample(generation, name);
    const own = sample.replaceAll('/etc/dovecot/postern-master', at('master-users'));
    await writeFile(at(name), own.replaceAll('/etc/dovecot/postern-acls', at('acls')));
  }
  if (certificate !== undefined) await writeFile(at('dovecot.pem'), certificate.cert + certificate.key);
  await writeFile(at('dovecot.conf'), dovecotConfiguration(generation, { directory, port, tlsPort }));
  const args = ['-F', '-c', at('dovecot.conf')];
  const isReady = () => connects(port);
  const running =
    root === undefined
      ? await startProgram('dovecot', args, { isReady })
      : await root.start('dovecot', args, { isReady, mounts: { [directory]: directory } });
  return {
    port,
    tlsPort,
    log: () => readFile(at('dovecot.log'), 'utf8'),
    stop: async () => running[Symbol.asyncDispose](),
  };
}
