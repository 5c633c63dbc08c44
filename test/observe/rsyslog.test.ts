import assert from 'node:assert/strict';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startBackends } from '../../demo/backends.ts';
import { writeConfiguration } from '../../demo/configuration.ts';
import { alice } from '../../demo/people.ts';
import { createSyslogCopy } from '../../src/audit/syslog.ts';
import { openLog } from '../../src/observe/log.ts';
import { auditIn, newFile } from '../audit/audit.fixture.ts';
import { Browser, fieldsIn } from '../demo/browser.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { askSocket } from '../gateway/standby-site.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { spawn, stopProgram } from '../programs.ts';
import { type Rsyslog, startRsyslog } from './rsyslog.fixture.ts';

const bin = fileURLToPath(new URL('../../bin/postern.mjs', import.meta.url));
/** Umlauts, what ends a line for others, and eight thousand characters of two bytes. */
const texts = ['Bjørn Häußler 🐻', 'one\ntwo\r\n<13>1 three\u2028\u0085\0', 'ü'.repeat(8_000), '%msg% \\ " \t'];

function linesIn(file: string): readonly string[] {
  return readFileSync(file, 'utf8').split('\n').slice(0, -1);
}

/** A log with its copy, and a file in place of standard output. */
async function logTo(t: TestContext, { port, certificate }: Rsyslog, secure: boolean) {
  const folder = mkdtempSync(join(tmpdir(), 'postern-log-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'stdout');
  const syslog = { host: '127.0.0.1', port, ...(secure ? { tls: { ca: certificate } } : {}) };
  const output = { fd: openSync(file, 'w'), journal: undefined, retryMs: 5 };
  const opened = await openLog({ level: 'info', format: 'json', syslog }, output);
  const eventsHere = () => linesIn(file).map((line) => String(JSON.parse(line).event));
  return Object.assign(opened, { lines: () => linesIn(file), eventsHere });
}

for (const secure of [false, true]) {
  const over = secure ? 'TLS' : 'TCP';
  describe(`rsyslog over ${over}`, () => {
    it('writes the lines of the log as they are here', async (t) => {
      await using rsyslog = await startRsyslog({ secure });
      await using opened = await logTo(t, rsyslog, secure);
      for (const [at, text] of texts.entries())
        opened.log.warn('webmail-request-failed', { user: text, path: text, code: text, reason: text, host: `h${at}` });
      await eventually(() => rsyslog.log().length === texts.length && opened.lines().length === texts.length);
      assert.deepEqual(rsyslog.log(), opened.lines());
      const users = rsyslog.log().map((line) => String(JSON.parse(line).user));
      // The log itself cuts a text behind 2000 characters: each of the four is 4 kB long.
      assert.deepEqual(
        users,
        texts.map((text) => (text.length > 2_000 ? `${text.slice(0, 2_000)}…` : text)),
      );
      assert.ok(rsyslog.log().some((line) => Buffer.byteLength(line) > 16_000));
      assert.deepEqual(rsyslog.audit(), []);
    });

    it('writes the lines of the audit as they are on disk, so that the copy can be verified', async () => {
      await using rsyslog = await startRsyslog({ secure });
      const { port, certificate } = rsyslog;
      const said: string[] = [];
      const log = {
        debug() {},
        info() {},
        warn: (event: string) => said.push(event),
        error: (event: string) => said.push(event),
      };
      const tls = secure ? { tls: { ca: certificate } } : {};
      await using copy = createSyslogCopy({ host: '127.0.0.1', port, node: 'node-1', log, ...tls });
      await using audit = auditIn(newFile(), { written: (written) => copy.send(written) });
      await Promise.all(texts.map((actor) => audit.record({ event: 'role-used', actor })));
      await eventually(() => rsyslog.audit().length === texts.length);
      assert.deepEqual(rsyslog.audit(), linesIn(audit.file));
      assert.deepEqual([rsyslog.log(), said], [[], []]);
    });
  });
}

describe('an rsyslog that is killed', () => {
  it('holds nothing up; after its start come the thousand that waited, and the log says how many are missing', async (t) => {
    await using rsyslog = await startRsyslog({ secure: true });
    await using opened = await logTo(t, rsyslog, true);
    opened.log.info('closed');
    await eventually(() => rsyslog.log().length === 1);
    await rsyslog.kill();
    await eventually(() => opened.eventsHere().includes('log-copy-waits'));
    for (let sent = 0; sent < 1_500; sent += 1) opened.log.info('closed');
    await eventually(() => opened.eventsHere().filter((event) => event === 'closed').length === 1_501);
    await rsyslog.start();
    await eventually(() => opened.eventsHere().includes('log-copy-resumed'));
    await eventually(() => rsyslog.log().length === 1_001);
    const resumed = opened.lines().find((line) => line.includes('log-copy-resumed')) ?? '';
    assert.equal(JSON.parse(resumed).dropped, 500);
    assert.equal(opened.eventsHere().filter((event) => event === 'log-copy-stopped').length, 1);
    const here = opened.lines().filter((line) => line.includes('"event":"closed"'));
    assert.deepEqual(rsyslog.log(), here.slice(0, 1_001));
  });
});

describe('a gateway that sends log and audit to rsyslog', () => {
  it('has each line of both there, in order', async (t) => {
    await using rsyslog = await startRsyslog({ secure: true });
    const folder = await mkdtemp(join(tmpdir(), 'postern-copied-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    await using backends = await startBackends(Date.now());
    const port = await freePort();
    const file = await writeConfiguration(backends, { directory: folder, port, hasStaff: true });
    writeFileSync(join(folder, 'logs.crt'), rsyslog.certificate);
    const syslog = `syslog: { url: "tls://127.0.0.1:${rsyslog.port}", tls_ca_file: logs.crt }`;
    const yaml = await readFile(file, 'utf8');
    const log = `log: { level: info, requests: all, ${syslog} }\naudit: { file: audit.jsonl, ${syslog} }`;
    await writeFile(file, yaml.replace('log: { level: warn }', log));
    const child = spawn(process.execPath, [bin, 'serve', '-c', file], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.after(() => stopProgram(child));
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await eventually(() => said.includes('"event":"ready"'));
    const browser = new Browser(`http://127.0.0.1:${port}`);
    const form = fieldsIn(await browser.text('/-/login'));
    form.set('user', alice.address);
    form.set('password', alice.password);
    await browser.submit('/-/login', form);
    await browser.text('/mail/INBOX');
    const drain = { state: 'DRAIN', reason: 'Festplatten für Bjørn' };
    const { status } = await askSocket(join(folder, 'state/postern.sock'), 'PUT', '/backends/a/state', drain);
    assert.equal(status, 200);
    await stopProgram(child);
    const here = said.split('\n').slice(0, -1);
    await eventually(() => rsyslog.log().length === here.length);
    assert.deepEqual(rsyslog.log(), here);
    assert.ok(here.some((line) => line.includes('"event":"session-start"')));
    assert.match(here.at(-1) ?? '', /"event":"closed"/);
    await eventually(() => rsyslog.audit().length > 0);
    assert.deepEqual(rsyslog.audit(), linesIn(join(folder, 'audit.jsonl')));
    assert.ok(rsyslog.audit().some((line) => line.includes(drain.reason)));
  });
});
