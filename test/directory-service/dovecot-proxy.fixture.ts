import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DebianRoot } from '../debian-root.fixture.ts';
import { readDovecotSample } from '../integrations/own-dovecot.fixture.ts';
import { freePorts } from '../ports.fixture.ts';
import { connects, startProgram } from '../programs.ts';

/** A real Dovecot that passes clients on to the mail servers of their users. */
export interface DovecotProxy extends AsyncDisposable {
  readonly imapPort: number;
  readonly pop3Port: number;
  readonly sievePort: number;
  /** The URL of the doveadm HTTP API, with the key `doveadmKey`. */
  readonly doveadmUrl: string;
  readonly doveadmKey: string;
  log(): Promise<string>;
}

export interface DovecotProxyOptions {
  /** The directory service; what follows its port in its address may stand behind it. */
  readonly service: { readonly port: number | string; readonly key: string };
  /** The Lua table of how it connects to mail servers. */
  readonly security: string;
  readonly caFile: string;
  /** A root of Debian 13 for Dovecot 2.4; without it, this machine's Dovecot 2.3. */
  readonly root?: DebianRoot | undefined;
}

const sample = async (name: string): Promise<string> =>
  readFile(new URL(`../../integrations/dovecot/proxy/${name}`, import.meta.url), 'utf8');

/** Starts Dovecot with the samples of integrations/dovecot/proxy, which ask this service. */
export async function startDovecotProxy(options: DovecotProxyOptions): Promise<DovecotProxy> {
  const { service, security, caFile, root } = options;
  const folder = await mkdtemp(join(tmpdir(), 'postern-dovecot-proxy-'));
  const at = (name: string): string => join(folder, name);
  const [imapPort = 0, pop3Port = 0, sievePort = 0, doveadmPort = 0] = await freePorts(4);
  await using unfinished = new AsyncDisposableStack();
  unfinished.defer(() => rm(folder, { recursive: true, force: true }));
  await chmod(folder, 0o755);
  await mkdir(at('run'));
  await writeFile(at('key'), `${service.key}\n`);
  await writeFile(at('ca.crt'), await readFile(caFile));
  const lua = (await sample('postern.lua'))
    .replace('http://127.0.0.1:9092', `http://127.0.0.1:${service.port}`)
    .replace('/etc/dovecot/postern-key', at('key'))
    .replace('local security = {}', `local security = ${security}`);
  await writeFile(at('postern.lua'), lua);
  const generation = root === undefined ? '2.3' : '2.4';
  const proxy = (await sample(`proxy-${generation}.conf`))
    .replace('/etc/dovecot/postern.lua', at('postern.lua'))
    .replace('/etc/dovecot/mail-servers-ca.crt', at('ca.crt'))
    .replaceAll(/^#(?=ssl_)/gm, '');
  const doveadm = (await readDovecotSample(generation, 'doveadm-api.conf'))
    .replace('10.0.0.31', '127.0.0.1')
    .replace('port = 8080', `port = ${doveadmPort}`)
    .replace('    ssl = yes\n', '');
  const clearText =
    generation === '2.3'
      ? 'disable_plaintext_auth = no'
      : 'dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\nauth_allow_cleartext = yes';
  await writeFile(
    at('dovecot.conf'),
    `${clearText}
${proxy}
${doveadm}
base_dir = ${at('run')}
state_dir = ${at('run')}
instance_name = postern-proxy-${imapPort}
log_path = ${at('dovecot.log')}
protocols = imap pop3 sieve
listen = 127.0.0.1
ssl = no
# The tests ask for refusals often, and measure no times.
auth_failure_delay = 0
service imap-login {
  inet_listener imap {
    port = ${imapPort}
  }
  inet_listener imaps {
    port = 0
  }
}
service pop3-login {
  inet_listener pop3 {
    port = ${pop3Port}
  }
  inet_listener pop3s {
    port = 0
  }
}
service managesieve-login {
  inet_listener sieve {
    port = ${sievePort}
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
`,
  );
  const args = ['-F', '-c', at('dovecot.conf')];
  const isReady = () => connects(imapPort);
  unfinished.use(
    root === undefined
      ? await startProgram('dovecot', args, { isReady })
      : await root.start('dovecot', args, { isReady, mounts: { [folder]: folder } }),
  );
  const running = unfinished.move();
  return {
    imapPort,
    pop3Port,
    sievePort,
    doveadmUrl: `http://127.0.0.1:${doveadmPort}/doveadm/v1`,
    doveadmKey: 'secret-of-doveadm',
    log: () => readFile(at('dovecot.log'), 'utf8'),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
