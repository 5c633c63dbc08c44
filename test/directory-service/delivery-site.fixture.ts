import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { silentLog } from '../../src/core/log.ts';
import { startGateway } from '../../src/gateway.ts';
import { run } from '../cli/cli.fixture.ts';
import { type Lab, labScript, lab as runLab } from '../lab/lab.ts';
import { freePorts } from '../ports.fixture.ts';
import { runProgram } from '../programs.ts';
import { type PostfixServer, type PostfixServerOptions, startPostfix } from './postfix-server.fixture.ts';

export const domain = 'example.test';
const servers = ['a', 'b'] as const;
type Server = (typeof servers)[number];

/** A gateway over the lab's Dovecots a and b, with a Postfix that asks it where mail goes. */
export interface DeliverySite extends AsyncDisposable {
  readonly postfix: PostfixServer;
  /** Port of the gateway's socketmap, and of its tcp_table for `homes`. */
  readonly ports: {
    readonly socketmap: number;
    readonly tcpTable: number;
    readonly lookup: number;
    readonly operators: number;
  };
  /** Runs a command of an operator. Rejects if it fails. */
  postern(...args: readonly string[]): Promise<string>;
  /** Replaces a text of the configuration, and reloads it. */
  reconfigure(text: string, by: string): Promise<void>;
  /** Opens a connection to Postfix. */
  sender(): Promise<MailSender>;
  /** The messages of this site in a user's INBOX on a server, by their ids, with repetitions. */
  inbox(server: Server, user: string): Promise<readonly string[]>;
}

/** Takes mail to Postfix, one after another. */
export interface MailSender extends Disposable {
  /** Resolves with the answer to RCPT, or with that to the whole message once it was taken. */
  send(to: string, id: string): Promise<string>;
}

const blockOf = async (page: string, opening: string): Promise<string> => {
  const text = new RegExp(`^\`\`\`${opening}\\n(#!/bin/sh\\n[^]*?)^\`\`\`$`, 'm').exec(
    await readFile(page, 'utf8'),
  )?.[1];
  if (text === undefined) throw new Error(`${page} has no script in a block of ${opening}`);
  return text;
};

/** Starts the site. alice and mia live on a, bob on b, of whom robert is an alias; nobody knows where ada lives. */
export async function startDeliverySite(lab: Lab, more: Partial<PostfixServerOptions> = {}): Promise<DeliverySite> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-delivery-'));
  await using unfinished = new AsyncDisposableStack();
  unfinished.defer(() => rm(folder, { recursive: true, force: true }));
  const inFolder = async (name: string, text: string): Promise<string> => {
    await writeFile(join(folder, name), text);
    await chmod(join(folder, name), 0o755);
    return join(folder, name);
  };
  const marks = randomUUID();
  // The lab's servers share a machine, and its ssh is a program beside them. A hook knows nothing of our environment.
  const settings = Object.entries(process.env).flatMap(([name, value]) =>
    name.startsWith('LAB_') ? [`'${name}=${value}'`] : [],
  );
  const ssh = ['env', ...settings, labScript, 'exec', `${lab.dataFolder}/ssh`].join(' ');
  const hook = async (page: string, opening: string): Promise<string> =>
    (await blockOf(page, opening)).replaceAll('ssh "', `${ssh} "`).replace('sleep 60', 'sleep 2');
  const before = await inFolder('carry-mailbox', await hook('docs/move-users.md', 'sh'));
  const after = await inFolder(
    'carry-late-mail',
    await hook('docs/directory-service.md', 'sh /usr/local/bin/carry-late-mail'),
  );
  const [listen = 0, operators = 0, lookup = 0, socketmap = 0, tcpTable = 0] = await freePorts(5);
  const backend = (name: Server, address: string): string =>
    `  ${name}: { imap: "imaps://${address}:${lab.port(993)}", webmail: "http://${address}:${lab.port(80)}/", driver: none, ports: { sieve: ${lab.port(4190)} } }`;
  await inFolder('users.map', `alice@${domain}: a\nmia@${domain}: a\nbob@${domain}: b\n`);
  await inFolder('aliases', `robert@${domain}: bob\n`);
  const configFile = await inFolder(
    'postern.yaml',
    `listen: 127.0.0.1:${listen}
public_url: http://127.0.0.1:${listen}
operators: { listen: 127.0.0.1:${operators}, socket: api.sock }
directory:
  default_domain: ${domain}
  sources:
    - { type: map, file: aliases, answers: user }
    - { type: map, file: users.map }
directory_service:
  listen: 127.0.0.1:${lookup}
  socketmap: { listen: 127.0.0.1:${socketmap} }
  tcp_table: { listen: 127.0.0.1:${tcpTable} }
  recipient_delimiter: "+"
  ports: { imap: ${lab.port(143)}, lmtp: ${lab.port(24)} }
passdb: { tls_ca_file: "${lab.caFile}" }
shutdown: { delay: 0s, deadline: 2s }
moves: { before: ${before}, after: ${after} }
backends:
${backend('a', '127.0.0.11')}
${backend('b', '127.0.0.12')}
`,
  );
  // The lab has a mailbox of mia on b, too. Here she has none there, as before any first move.
  const mailOnB = `${lab.dataFolder}/b/data/mail/mia@${domain}`;
  const doveadm = async (server: Server, ...args: readonly string[]): Promise<string> =>
    runProgram('doveadm', ['-c', `${lab.dataFolder}/${server}/conf/dovecot.conf`, ...args]);
  /** Does something with the messages of this site in a mailbox; nothing if the user was never on that server. */
  const ofUser = async (
    server: Server,
    user: string,
    command: readonly string[],
    mailbox: string,
    fields: readonly string[] = [],
  ): Promise<string> => {
    const query = ['mailbox', mailbox, 'header', 'X-Site', marks];
    try {
      return await doveadm(server, ...command, '-u', `${user}@${domain}`, ...fields, ...query);
    } catch (error) {
      if (error instanceof Error && 'code' in error && (error.code === 67 || error.code === 68)) return '';
      throw error;
    }
  };
  await rm(mailOnB, { recursive: true, force: true });
  unfinished.defer(async () => {
    await rm(mailOnB, { recursive: true, force: true });
    for (const server of servers) {
      for (const user of ['alice', 'bob', 'mia']) await ofUser(server, user, ['expunge'], '*');
    }
    await runLab('seed', 'b');
  });
  const gateway = await startGateway({ configFile, log: silentLog });
  unfinished.defer(() => gateway.close());
  const postfix = unfinished.use(await startPostfix({ socketmap, domain, ...more }));
  const running = unfinished.move();
  const postern: DeliverySite['postern'] = async (...args) => {
    const ended = await run([...args, '-c', configFile]);
    if (ended.code !== 0) throw new Error(`${args.join(' ')}: ${ended.err}`);
    return ended.out;
  };
  return {
    postfix,
    postern,
    async reconfigure(text, by) {
      await writeFile(configFile, (await readFile(configFile, 'utf8')).replace(text, by));
      await postern('reload');
    },
    ports: { socketmap, tcpTable, lookup, operators },
    sender: () => openSender(postfix.port, marks),
    async inbox(server, user) {
      const said = await ofUser(server, user, ['-f', 'tab', 'fetch'], 'INBOX', ['hdr.x-number']);
      return said
        .split('\n')
        .slice(1)
        .filter((line) => line !== '')
        .map((line) => line.trim());
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Opens a connection to a Postfix; `marks` tells its messages from those of others. */
export async function openSender(port: number, marks: string): Promise<MailSender> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  const answer = async (): Promise<string> => {
    const { value, done } = await lines.next();
    return done === true ? 'the connection ended' : value;
  };
  const ask = (text: string): Promise<string> => {
    socket.write(`${text}\r\n`);
    return answer();
  };
  await answer();
  await ask('HELO test');
  return {
    async send(to, id) {
      // Each sender differs, as in life: Postfix remembers the last route of a pair for half a minute.
      await ask(`MAIL FROM:<${id}@elsewhere.test>`);
      const taken = await ask(`RCPT TO:<${to}>`);
      if (!taken.startsWith('250')) {
        await ask('RSET');
        return taken;
      }
      await ask('DATA');
      const fields = [
        `From: ${id}@elsewhere.test`,
        `To: ${to}`,
        'Subject: Delivered',
        `X-Site: ${marks}`,
        `X-Number: ${id}`,
      ];
      return ask(`${fields.join('\r\n')}\r\n\r\nOne mailbox.\r\n.`);
    },
    [Symbol.dispose]: () => void socket.destroy(),
  };
}
