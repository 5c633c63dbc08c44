import { chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Secret } from '../../../src/core/secrets.ts';
import { connectMupdate, mupdateString } from '../../../src/directory/sources/mupdate-connection.ts';
import { freePort } from '../../ports.fixture.ts';
import { exists, runProgram, startProgram, unpackPackages } from '../../programs.ts';
import { temporaryDirectory } from '../directory.fixture.ts';
import { makeCertificates } from './certificates.fixture.ts';

/** A real master of a Cyrus Murder, run from the packages' content: the package would remove Dovecot's. */
export interface MupdateMaster extends AsyncDisposable {
  readonly port: number;
  readonly caFile: string;
  readonly user: string;
  readonly password: string;
  /** Announces mailboxes as a backend does: name and `host!partition`. */
  activate(mailboxes: ReadonlyMap<string, string>): Promise<void>;
  send(command: string): Promise<void>;
  stop(): Promise<void>;
  start(): Promise<void>;
}

const packages = join(tmpdir(), 'postern-test-cyrus');

export async function startMupdateMaster(): Promise<MupdateMaster> {
  await unpackOnce();
  const folder = await temporaryDirectory();
  const at = (...path: readonly string[]): string => join(folder.path, ...path);
  const { caFile, certificateFile, keyFile } = await makeCertificates(folder.path);
  const port = await freePort();
  for (const name of [
    'db',
    'log',
    'msg',
    'proc',
    'socket',
    'user',
    'quota',
    'ptclient',
    'sync',
    'lock',
    'sieve',
    'backup',
  ]) {
    await mkdir(at('cyrus', name), { recursive: true });
  }
  await mkdir(at('spool'));
  await writeFile(at('imapd.conf'), imapdConf(folder.path, certificateFile, keyFile));
  await writeFile(at('cyrus.conf'), cyrusConf(folder.path, port));
  for (const realm of ['127.0.0.1', 'localhost', 'example.test']) {
    await runProgram('saslpasswd2', ['-p', '-c', '-f', at('sasldb2'), '-u', realm, 'murder'], { input: 'murder-pw' });
  }
  await runProgram('chown', ['-R', 'cyrus:mail', folder.path]);
  await chmod(folder.path, 0o755);
  const login = { user: 'murder', password: new Secret('murder-pw'), tls: undefined };
  const address = { label: 'master', connect: { host: '127.0.0.1', port } };
  const sendAll = async (commands: readonly string[]): Promise<void> => {
    const connection = await connectMupdate(address, login, AbortSignal.timeout(10_000));
    try {
      for (const command of commands) await connection.command(command);
    } finally {
      connection.close();
    }
  };
  /**
   * Repeats commands that fail: on a busy machine Cyrus' server was seen to hang up and start again. A command that is
   * sent twice means the same.
   */
  const sayAll = async (commands: readonly string[]): Promise<void> => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await sendAll(commands);
      } catch (error) {
        if (attempt === 5) throw error;
        await setTimeout(200);
      }
    }
  };
  const master = join(packages, 'usr/lib/cyrus/bin/master');
  const args = ['-D', '-C', at('imapd.conf'), '-M', at('cyrus.conf'), '-p', at('master.pid')];
  const launch = () => startProgram(master, args, { isReady: () => sendAll(['NOOP']) });
  let running = await launch();
  return {
    port,
    caFile,
    user: 'murder',
    password: 'murder-pw',
    send: (command) => sayAll([command]),
    activate: (mailboxes) =>
      sayAll([...mailboxes].map(([name, place]) => `ACTIVATE ${mupdateString(name)} ${mupdateString(place)} "acl"`)),
    async stop() {
      await running[Symbol.asyncDispose]();
    },
    async start() {
      await rm(at('master.pid'), { force: true });
      running = await launch();
    },
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

async function unpackOnce(): Promise<void> {
  if (await exists(packages)) return;
  const making = `${packages}.${process.pid}`;
  await mkdir(making);
  await unpackPackages(['cyrus-common', 'cyrus-murder', 'cyrus-imapd'], making);
  // A process that comes second finds it done.
  await rename(making, packages).catch(() => rm(making, { recursive: true, force: true }));
}

function imapdConf(folder: string, certificate: string, key: string): string {
  return `configdirectory: ${folder}/cyrus
defaultpartition: default
partition-default: ${folder}/spool
servername: 127.0.0.1
cyrus_user: cyrus
allowplaintext: yes
admins: murder
unixhierarchysep: yes
virtdomains: userid
defaultdomain: example.test
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: ${folder}/sasldb2
sasl_mech_list: PLAIN
tls_server_cert: ${certificate}
tls_server_key: ${key}
proc_path: ${folder}/cyrus/proc
mboxname_lockpath: ${folder}/cyrus/lock
`;
}

function cyrusConf(folder: string, port: number): string {
  const bin = join(packages, 'usr/lib/cyrus/bin');
  return `START {
  recover cmd="/usr/sbin/cyrus ctl_cyrusdb -C ${folder}/imapd.conf -r"
}
SERVICES {
  mupdate cmd="${bin}/mupdate -C ${folder}/imapd.conf -m" listen="127.0.0.1:${port}" proto="tcp4" prefork=1
}
`;
}
