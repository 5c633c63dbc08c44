import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestCertificate } from '../passdb/certificates.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { awaitPort, spawn, stopProgram } from '../programs.ts';

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

/**
 * A Dovecot of the test's own, on a free port, with the sample configurations of integrations/dovecot included; with a
 * certificate on another port over TLS, too.
 */
export async function startDovecot(
  directory: string,
  users: Readonly<Record<string, string>>,
  certificate?: TestCertificate,
): Promise<OwnDovecot> {
  const port = await freePort();
  const tlsPort = certificate === undefined ? 0 : await freePort();
  const at = (name: string): string => join(directory, name);
  for (const name of ['run', 'mail']) await mkdir(at(name), { recursive: true });
  await chmod(at('mail'), 0o777);
  await writeFile(
    at('users'),
    Object.entries(users)
      .map(([user, password]) => `${user}:{PLAIN}${password}\n`)
      .join(''),
  );
  await writeFile(at('master-users'), `gateway:{PLAIN}${masterPassword}\nsupport:{PLAIN}${masterPassword}\n`);
  await writeFile(at('acls'), acls);
  for (const name of ['postern.conf', 'restricted-master.conf']) {
    const sample = await readFile(new URL(`../../integrations/dovecot/${name}`, import.meta.url), 'utf8');
    const own = sample.replaceAll('/etc/dovecot/postern-master', at('master-users'));
    await writeFile(at(name), own.replaceAll('/etc/dovecot/postern-acls', at('acls')));
  }
  if (certificate !== undefined) await writeFile(at('dovecot.pem'), certificate.cert + certificate.key);
  await writeFile(at('dovecot.conf'), configuration(directory, port, tlsPort));
  const child: ChildProcess = spawn('dovecot', ['-F', '-c', at('dovecot.conf')], { stdio: 'ignore' });
  await once(child, 'spawn');
  await awaitPort(port);
  return { port, tlsPort, log: () => readFile(at('dovecot.log'), 'utf8'), stop: () => stopProgram(child) };
}

function configuration(directory: string, port: number, tlsPort: number): string {
  const ssl =
    tlsPort === 0 ? 'ssl = no' : `ssl = yes\nssl_cert = <${directory}/dovecot.pem\nssl_key = <${directory}/dovecot.pem`;
  return `
base_dir = ${directory}/run
state_dir = ${directory}/run
instance_name = postern-test-${port}
log_path = ${directory}/dovecot.log
protocols = imap
listen = 127.0.0.1
${ssl}
disable_plaintext_auth = no
mail_location = maildir:~/Maildir
mail_uid = mail
mail_gid = mail
first_valid_uid = 8
!include ${directory}/postern.conf
!include ${directory}/restricted-master.conf
# The tests ask for refusals often, and measure no times.
auth_failure_delay = 0
passdb {
  driver = passwd-file
  args = ${directory}/users
}
userdb {
  driver = static
  args = uid=mail gid=mail home=${directory}/mail/%u
}
service imap-login {
  inet_listener imap {
    port = ${port}
  }
  inet_listener imaps {
    port = ${tlsPort}
    ssl = yes
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
`;
}
