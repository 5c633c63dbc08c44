import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { postfixRoot } from '../directory/peers/postfix.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { connects, runProgram, startProgram } from '../programs.ts';

/** A real Postfix of the test's own, with the lines of deploy/postfix. */
export interface PostfixServer extends AsyncDisposable {
  /** Where it takes mail by SMTP. */
  readonly port: number;
  /** Tries to deliver all that waits, at once. */
  flush(): Promise<void>;
  /** The recipients that wait, each with the reason. */
  waiting(): Promise<readonly { readonly address: string; readonly reason: string }[]>;
  log(): Promise<string>;
}

export interface PostfixServerOptions {
  /** Port of the gateway's socketmap. */
  readonly socketmap: number;
  readonly domain: string;
  /** Further lines of main.cf; a later line wins. */
  readonly more?: string;
  /** Leaves the lines of deploy/postfix/master.cf out. */
  readonly isPlain?: boolean;
}

const sample = async (name: string): Promise<string> =>
  readFile(new URL(`../../deploy/postfix/${name}`, import.meta.url), 'utf8');

/** The services that a delivery needs, without a chroot. */
const services = `pickup    unix  n  -  n  60  1  pickup
cleanup   unix  n  -  n  -   0  cleanup
qmgr      unix  n  -  n  300 1  qmgr
rewrite   unix  -  -  n  -   -  trivial-rewrite
bounce    unix  -  -  n  -   0  bounce
defer     unix  -  -  n  -   0  bounce
trace     unix  -  -  n  -   0  bounce
flush     unix  n  -  n  1000? 0  flush
proxymap  unix  -  -  n  -   -  proxymap
showq     unix  n  -  n  -   -  showq
error     unix  -  -  n  -   -  error
retry     unix  -  -  n  -   -  error
lmtp      unix  -  -  n  -   -  lmtp
anvil     unix  -  -  n  -   1  anvil
scache    unix  -  -  n  -   1  scache
postlog   unix-dgram n - n -  1  postlogd
`;

const queueFolders = [
  'incoming',
  'active',
  'deferred',
  'bounce',
  'defer',
  'flush',
  'hold',
  'corrupt',
  'trace',
  'saved',
];
/** User and group of Debian that no package of the tests uses; the package would make others. */
const owner = { name: 'daemon', id: 1, group: 'games' };

/** Starts Postfix from its unpacked package: installing it would replace the machine's mail agent. */
export async function startPostfix(options: PostfixServerOptions): Promise<PostfixServer> {
  const root = await postfixRoot();
  const folder = await mkdtemp(join(tmpdir(), 'postern-postfix-'));
  const at = (name: string): string => join(folder, name);
  await using unfinished = new AsyncDisposableStack();
  unfinished.defer(() => rm(folder, { recursive: true, force: true }));
  await chmod(folder, 0o755);
  for (const name of ['conf', 'queue', 'queue/pid', 'lib']) await mkdir(at(name));
  for (const name of [...queueFolders, 'private', 'public', 'maildrop']) {
    await mkdir(at(`queue/${name}`), { mode: name === 'public' ? 0o710 : 0o700 });
    await chown(at(`queue/${name}`), owner.id, 0);
  }
  await chown(at('lib'), owner.id, 0);
  const port = await freePort();
  const places = (text: string): string =>
    text.replaceAll('127.0.0.1:9093', `127.0.0.1:${options.socketmap}`).replaceAll('example.org', options.domain);
  const libraries = join(root, 'usr/lib/postfix');
  await writeFile(
    at('conf/main.cf'),
    `compatibility_level = 3.6
queue_directory = ${at('queue')}
data_directory = ${at('lib')}
daemon_directory = ${libraries}/sbin
command_directory = ${join(root, 'usr/sbin')}
shlib_directory = ${libraries}
meta_directory = ${at('conf')}
mail_owner = ${owner.name}
setgid_group = ${owner.group}
import_environment = MAIL_CONFIG LD_LIBRARY_PATH=${libraries}
maillog_file = ${at('mail.log')}
maillog_file_prefixes = ${tmpdir()}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.elsewhere.test
mydestination =
alias_maps =
alias_database =
default_transport = error:5.1.1 not of this test
${places(await sample('main.cf'))}
${options.more ?? ''}
`,
  );
  const smtpd = places(await sample('master.cf')).replace(/^smtp /m, `127.0.0.1:${port} `);
  const plain = `127.0.0.1:${port} inet n - n - - smtpd\n`;
  await writeFile(at('conf/master.cf'), services + (options.isPlain === true ? plain : smtpd));
  await writeFile(at('conf/dynamicmaps.cf'), '');
  const env = { LD_LIBRARY_PATH: libraries, MAIL_CONFIG: at('conf') };
  const program = (name: string): string => join(root, name);
  const log = async (): Promise<string> => readFile(at('mail.log'), 'utf8').catch(() => '');
  try {
    unfinished.use(
      await startProgram(program('usr/lib/postfix/sbin/master'), ['-c', at('conf'), '-d'], {
        isReady: () => connects(port),
        env,
      }),
    );
  } catch (error) {
    throw new Error(await log(), { cause: error });
  }
  const running = unfinished.move();
  const postqueue = (...args: string[]): Promise<string> => runProgram(program('usr/sbin/postqueue'), args, { env });
  return {
    port,
    flush: async () => void (await postqueue('-f')),
    async waiting() {
      const lines = (await postqueue('-j')).split('\n').filter((line) => line !== '');
      return lines.flatMap((line) => {
        const { recipients } = JSON.parse(line);
        return recipients.map(({ address, delay_reason: reason = '' }: Record<string, string>) => ({
          address,
          reason,
        }));
      });
    },
    log,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
