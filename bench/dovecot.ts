import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../test/ports.fixture.ts';
import { connects, type RunningProgram, startProgram } from '../test/programs.ts';

/** The password of every user. */
export const dovecotPassword = 'correct-horse-battery';

/** Starts a Dovecot that accepts every name, over TLS. `certificateFile` has key and certificate. */
export async function startDovecot(
  folder: string,
  certificateFile: string,
): Promise<RunningProgram & { readonly port: number }> {
  const [port, home] = [await freePort(), join(folder, 'dovecot')];
  await mkdir(join(home, 'mail'), { recursive: true });
  // Dovecot refuses to keep mail under its own user.
  await Promise.all([chmod(folder, 0o755), chmod(join(home, 'mail'), 0o777)]);
  const file = join(home, 'dovecot.conf');
  await writeFile(file, configuration(home, port, certificateFile));
  return { ...(await startProgram('dovecot', ['-F', '-c', file], { isReady: () => connects(port) })), port };
}

function configuration(home: string, port: number, certificateFile: string): string {
  return `base_dir = ${home}/run
state_dir = ${home}/state
log_path = ${home}/dovecot.log
listen = 127.0.0.1
protocols = imap
ssl = required
ssl_cert = <${certificateFile}
ssl_key = <${certificateFile}
mail_location = maildir:${home}/mail/%u
mail_uid = mail
mail_gid = mail
first_valid_uid = 1
login_trusted_networks = 127.0.0.0/8
mail_max_userip_connections = 1000
passdb {
  driver = static
  args = password={PLAIN}${dovecotPassword}
}
userdb {
  driver = static
  args = uid=mail gid=mail home=${home}/mail/%u
}
service imap-login {
  # One process for many logins, as where speed matters.
  service_count = 0
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = ${port}
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
