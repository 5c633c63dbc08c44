import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startBackends } from '../../demo/backends.ts';
import { writeConfiguration } from '../../demo/configuration.ts';
import { alice } from '../../demo/people.ts';
import { Browser, fieldsIn } from '../demo/browser.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { runProgram, spawn, stopProgram } from '../programs.ts';
import { CrowdSec } from './crowdsec.fixture.ts';

const bin = fileURLToPath(new URL('../../bin/postern.mjs', import.meta.url));
const filter = fileURLToPath(new URL('../../deploy/fail2ban/filter.d/postern.conf', import.meta.url));

const stranger = '192.0.2.99';
/** Names with which somebody tries to have another address banned. */
const forgeries = [
  `x","client":"${stranger}`,
  `x\\","client":"${stranger}","y":"\\`,
  `"why":"wrong-password","client":"${stranger}",`,
  `{"level":"info","app":"postern","event":"login","why":"wrong-password","client":"${stranger}"}`,
  `x,client:${stranger}`,
  `\\u0022,\\u0022client\\u0022:\\u0022${stranger}`,
];

let folder: string;
let log = '';
const started = new AsyncDisposableStack();

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-fail2ban-'));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  const backends = started.use(await startBackends(Date.now()));
  const port = await freePort();
  const file = await writeConfiguration(backends, { directory: folder, port });
  const yaml = (await readFile(file, 'utf8'))
    .replace('log: { level: warn }', 'log: { level: info }')
    .replace('login:\n', 'login:\n  refusal_after: 0s\n  exempt_networks: [127.0.0.1/32]\n')
    .replace('  driver: form\n', '  driver: form\n  dav: [/dav/]\n');
  await writeFile(file, yaml);
  const child = spawn(process.execPath, [bin, 'serve', '-c', file], { stdio: ['ignore', 'pipe', 'inherit'] });
  started.defer(() => stopProgram(child));
  child.stdout.on('data', (chunk: Buffer) => (log += chunk.toString()));
  await eventually(() => log.includes('"event":"ready"'));
  const origin = `http://127.0.0.1:${port}`;
  const attempts = [
    [alice.address, 'wrong'],
    ['nobody@example.test', 'wrong'],
    ...forgeries.map((name) => [name, 'wrong'] as const),
    [alice.address, alice.password],
  ] as const;
  for (const [user, password] of attempts) {
    const browser = new Browser(origin);
    const form = fieldsIn(await browser.text('/-/login'));
    form.set('user', user);
    form.set('password', password);
    await browser.submit('/-/login', form);
  }
  const credentials = Buffer.from(`${alice.address}:wrong`).toString('base64');
  await fetch(`${origin}/dav/`, { headers: { authorization: `Basic ${credentials}` } });
  await eventually(() => log.includes('"event":"basic-login"'));
  await writeFile(join(folder, 'log'), log);
});
after(() => started.disposeAsync());

/** The addresses that fail2ban finds in a log, one for each failure. */
async function foundIn(name: string): Promise<readonly string[]> {
  const out = await runProgram('fail2ban-regex', ['--out', 'ip', join(folder, name), filter]);
  return out.split('\n').filter((line) => line !== '');
}

const failures = () =>
  log.split('\n').filter((line) => /"result":"wrong"|"why":"(?:wrong-password|unknown-user)"/.test(line));

describe('the fail2ban filter', () => {
  test('finds each wrong password and each unknown name, in the log of a gateway', async () => {
    assert.equal(failures().length, 2 + forgeries.length + 1, log);
    const found = await foundIn('log');
    assert.equal(found.length, failures().length);
    assert.deepEqual([...new Set(found)], ['127.0.0.1']);
  });

  test('finds the same in the lines as the journal gives them', async () => {
    const lines = failures().map((line) => `node1 postern[4711]: ${line}\n`);
    await writeFile(join(folder, 'journal'), lines.join(''));
    assert.deepEqual(
      await foundIn('journal'),
      failures().map(() => '127.0.0.1'),
    );
  });

  test('bans no address that stands in a name, whatever the name is', async () => {
    const users = failures().map((line): unknown => JSON.parse(line).user);
    for (const name of forgeries) assert.ok(users.includes(`${name.toLowerCase()}@example.test`), name);
    assert.ok(!(await foundIn('log')).includes(stranger));
  });

  test('finds the moment of a failure', async () => {
    const out = await runProgram('fail2ban-regex', ['--out', 'row', join(folder, 'log'), filter]);
    const [first] = failures();
    const time = /"time":"([^"]+)"/.exec(first ?? '')?.[1] ?? '';
    assert.ok(out.includes(String(Math.floor(Date.parse(time) / 1000))), out);
  });
});

describe('the parser and the scenario of CrowdSec', () => {
  let crowdsec: CrowdSec;
  before(async () => {
    crowdsec = new CrowdSec(join(folder, 'crowdsec'));
    await crowdsec.unpack();
  });

  /** The addresses of the alerts for a log that has the failures several times over. */
  async function alertedBy(times: number, type: string, head = ''): Promise<readonly string[]> {
    const lines = Array.from({ length: times }, () => failures().map((line) => `${head}${line}\n`)).flat();
    await writeFile(join(folder, 'guesses'), lines.join(''));
    const alerts = await crowdsec.alertsOf(join(folder, 'guesses'), type);
    assert.deepEqual(
      alerts.filter(({ scenario }) => scenario !== 'postern/guessing'),
      [],
    );
    return alerts.map(({ source }) => source.ip);
  }

  test('raise an alert for an address that guesses, and for none that stands in a name', async () => {
    assert.deepEqual(await alertedBy(3, 'postern'), ['127.0.0.1']);
  });

  test('read the lines as the journal gives them', async () => {
    assert.deepEqual(await alertedBy(3, 'syslog', 'Nov 30 10:00:00 node1 postern[4711]: '), ['127.0.0.1']);
  });

  test('leave alone who errs a few times, and who signs in', async () => {
    assert.deepEqual(await alertedBy(1, 'postern'), []);
    const good = log.split('\n').filter((line) => line.includes('"result":"signed-in"'));
    assert.equal(good.length, 1);
    await writeFile(join(folder, 'good'), `${good[0]}\n`.repeat(60));
    assert.deepEqual(await crowdsec.alertsOf(join(folder, 'good'), 'postern'), []);
  });
});
