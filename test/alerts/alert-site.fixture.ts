import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createCertificate } from '../../demo/certificate.ts';
import { type ImapServer, startImapServer } from '../../demo/imap-server.ts';
import { silentLog } from '../../src/core/log.ts';
import { type Gateway, startGateway } from '../../src/gateway.ts';
import { Browser, fieldsIn, type Landed } from '../demo/browser.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { askSocket } from '../gateway/standby-site.fixture.ts';
import { type Machine, startMachine } from '../faults/site.fixture.ts';
import { freePorts } from '../ports.fixture.ts';
import { connects, spawn, startProgram, stopProgram } from '../programs.ts';
import { type RedisServer, startRedisServer } from '../redis-server.fixture.ts';
import { type Scrape, scrape } from './scrapes.fixture.ts';

const password = 'wonderland';
const dayMs = 86_400_000;
const bin = fileURLToPath(new URL('../../bin/postern.mjs', import.meta.url));
const clock = fileURLToPath(new URL('../integrations/clock.mjs', import.meta.url));
const firewall = fileURLToPath(new URL('firewall.mjs', import.meta.url));

/**
 * Two nodes on one Redis. gw1 is in this process: `a` has one host, `b` a standby, `hung` is another process, `small`
 * has room for one request; everybody whom the map does not know is asked for at a web service. gw2 is a process of its
 * own with TLS.
 */
export interface AlertSite extends AsyncDisposable {
  readonly folder: string;
  readonly gateway: Gateway;
  /** Of the sessions. */
  readonly redis: RedisServer;
  readonly stateRedis: RedisServer;
  readonly imap: ImapServer;
  readonly machines: Readonly<Record<'a' | 'b1' | 'b2' | 'small' | 'directory', Machine>>;
  /** Of the process that is the webmail of `hung`. */
  readonly hungPid: number;
  readonly second: SecondNode;
  /** The URLs of their operators' listeners. */
  readonly operators: Readonly<Record<'gw1' | 'gw2', string>>;
  scrape(): Promise<Scrape>;
  /** Asks the API of gw1. */
  api(method: string, path: string, body: object): ReturnType<typeof askSocket>;
  signIn(user: string, typed?: string): Promise<{ readonly browser: Browser; readonly landed: Landed }>;
  /** People at work: one signs in, others read a page. */
  usualTraffic(): Promise<void>;
  /** Writes the configuration of gw1 anew, with a text replaced. */
  configure(search?: string, replacement?: string): Promise<void>;
}

/** gw2. */
export interface SecondNode {
  readonly process: ChildProcess;
  /** Sends a signal to it and to its workers. */
  signalAll(name: NodeJS.Signals): void;
  /** The processes of its workers. */
  workers(): readonly number[];
  /** Puts a certificate in its file that is valid for so many days. */
  certify(days: number): Promise<void>;
  /** Has its clock go wrong by so much, and cuts it off from a port of the others, or from none. */
  disturb(trouble: { readonly clockMs?: number; readonly port?: number }): Promise<void>;
  /** Has it read its configuration and its certificate again. */
  reload(): Promise<void>;
}

export async function startAlertSite(): Promise<AlertSite> {
  await using opened = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'postern-alerts-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  const redis = opened.use(await startRedisServer());
  const stateRedis = opened.use(await startRedisServer());
  const keyPair = createCertificate(['127.0.0.1'], Date.now());
  const names = ['alice', 'bob', 'carol', 'dave', ...Array.from({ length: 40 }, (_, index) => `user${index}`)];
  const users = Object.fromEntries(names.map((name) => [`${name}@example.test`, password]));
  const imap = opened.use(await startImapServer({ users, security: 'tls', keyPair }));
  await writeFile(
    join(folder, 'carry-mailbox'),
    `#!/bin/sh\nwhile [ -e ${join(folder, 'carrying')} ]; do sleep 0.05; done\n`,
    { mode: 0o755 },
  );
  const start = async (name: string) => opened.use(await startMachine(name));
  const machines = {
    a: await start('a'),
    b1: await start('b1'),
    b2: await start('b2'),
    small: await start('small'),
    directory: await start('directory'),
  };
  machines.directory.answer = (_request, response) => void response.end('{"backend":"a"}');
  const [port = 0, secondPort = 0, secondOperators = 0, hungPort = 0] = await freePorts(4);
  const hung = opened.use(
    await startProgram('python3', ['-m', 'http.server', '--bind', '127.0.0.1', String(hungPort)], {
      cwd: await emptyFolder(folder),
      isReady: () => connects(hungPort),
    }),
  );
  await writeFile(join(folder, 'ca.crt'), keyPair.certificate);
  await writeFile(
    join(folder, 'users.map'),
    'alice: a\nbob: b\ncarol: hung\ndave: small\n'.replaceAll(':', '@example.test:'),
  );
  const at = (webmail: number) => `imap: "imaps://127.0.0.1:${imap.port}", webmail: "http://127.0.0.1:${webmail}/"`;
  const common = `
sessions: { redis: "${redis.url}", keys_file: keys }
state: { redis: "${stateRedis.url}" }
directory:
  default_domain: example.test
  cache: { found: 50ms, failed: 50ms }
  sources:
    - { type: map, file: users.map }
    - { type: http, url: "http://127.0.0.1:${machines.directory.port}/%u" }
passdb: { tls_ca_file: ca.crt }
login: { refusal_after: 0s }
shutdown: { delay: 0s, deadline: 1s }
backend_defaults: { driver: none, health: { http_interval: 300ms, imap_interval: 0s, timeout: 1500ms, rise: 1 } }
backends:
  a: { ${at(machines.a.port)} }
  b: { ${at(machines.b1.port)}, standby: [{ ${at(machines.b2.port)} }] }
  hung: { ${at(hungPort)} }
  small: { ${at(machines.small.port)}, limits: { connections: 1, queue: 1 } }
`;
  const origins = `["http://127.0.0.1:${port}", "https://127.0.0.1:${secondPort}"]`;
  const yaml = `listen: 127.0.0.1:${port}
public_url: ${origins}
operators: { listen: 127.0.0.1:0, socket: gw1.sock }
moves: { before: carry-mailbox }
audit: { file: gw1.audit }${common}`;
  const configFile = join(folder, 'gw1.yaml');
  await writeFile(configFile, yaml);
  const gateway = await startGateway({ configFile, log: silentLog });
  opened.defer(() => gateway.close());
  await writeFile(
    join(folder, 'gw2.yaml'),
    `listen: 127.0.0.1:${secondPort}
public_url: ${origins}
operators: { listen: 127.0.0.1:${secondOperators} }
audit: { file: gw2.audit }
moves: { before: carry-mailbox }
workers: 2
tls: { certificate_file: gw2.crt, key_file: gw2.key }${common}`,
  );
  const second = await startSecondNode(folder, opened);
  const signIn = signInAt(`http://127.0.0.1:${port}`);
  const readers = await Promise.all(['bob', 'carol'].map(async (user) => (await signIn(user)).browser));
  const owned = opened.move();
  return {
    folder,
    gateway,
    redis,
    stateRedis,
    imap,
    machines,
    hungPid: hung.pid,
    second,
    operators: {
      gw1: `http://127.0.0.1:${gateway.ports.operators}`,
      gw2: `http://127.0.0.1:${secondOperators}`,
    },
    api: (method, path, body) => askSocket(join(folder, 'gw1.sock'), method, path, body),
    scrape: () => scrape({ gw1: gateway.ports.operators, gw2: secondOperators }),
    signIn,
    async usualTraffic() {
      await signIn('user1');
      await Promise.all(readers.map((reader) => reader.open('/')));
    },
    async configure(search = '', replacement = '') {
      assert.ok(yaml.includes(search));
      await writeFile(configFile, yaml.replace(search, replacement));
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function signInAt(origin: string): AlertSite['signIn'] {
  return async (user, typed = password) => {
    const browser = new Browser(origin);
    const form = fieldsIn(await browser.text('/-/login'));
    form.set('user', user);
    form.set('password', typed);
    return { browser, landed: await browser.submit('/-/login', form) };
  };
}

async function emptyFolder(parent: string): Promise<string> {
  return mkdtemp(join(parent, 'web-'));
}

function childrenOf(pid: number): readonly number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}

async function startSecondNode(folder: string, opened: AsyncDisposableStack): Promise<SecondNode> {
  const clockFile = join(folder, 'clock');
  const certify = async (days: number): Promise<void> => {
    // It is valid for 29 days from the moment that it is given.
    const { certificate, key } = createCertificate(['mail.example.test'], Date.now() + (days - 29) * dayMs);
    await writeFile(join(folder, 'gw2.crt'), certificate);
    await writeFile(join(folder, 'gw2.key'), key, { mode: 0o600 });
  };
  await certify(29);
  const firewallFile = join(folder, 'firewall');
  const child = spawn(process.execPath, ['--import', clock, '--import', firewall, bin, 'serve', '-c', 'gw2.yaml'], {
    cwd: folder,
    env: { ...process.env, POSTERN_TEST_CLOCK: clockFile, POSTERN_TEST_FIREWALL: firewallFile },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  opened.defer(() => stopProgram(child));
  let said = '';
  for (const output of [child.stdout, child.stderr]) output.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await eventually(() => said.includes('"event":"ready"'), `gw2 is ready: ${said}`);
  return {
    process: child,
    signalAll(name) {
      for (const pid of [child.pid ?? 0, ...childrenOf(child.pid ?? 0)]) process.kill(pid, name);
    },
    workers: () => childrenOf(child.pid ?? 0),
    certify,
    async disturb({ clockMs = 0, port = 0 }) {
      said = '';
      await writeFile(clockFile, String(clockMs));
      await writeFile(firewallFile, String(port));
      child.kill('SIGUSR2');
      await eventually(() => said.includes('the clock was set') && said.includes('the firewall was set'));
    },
    async reload() {
      said = '';
      child.kill('SIGHUP');
      await eventually(() => said.includes('"event":"config-'), 'gw2 has reloaded');
    },
  };
}
