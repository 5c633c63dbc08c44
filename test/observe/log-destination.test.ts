import assert from 'node:assert/strict';
import { fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { createCertificate } from '../../demo/certificate.ts';
import { openLog } from '../../src/observe/log.ts';
import { syslogListener } from '../audit/syslog-listener.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { freePort, listening } from '../ports.fixture.ts';

/** A file in place of standard output. */
function output(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'postern-log-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'stdout');
  const fd = openSync(file, 'w');
  const { dev, ino } = fstatSync(fd);
  const written = (): string[] => readFileSync(file, 'utf8').split('\n').slice(0, -1);
  const events = (): string[] => written().map((line) => String(JSON.parse(line).event));
  return { fd, stream: `${dev}:${ino}`, written, events, journal: undefined, retryMs: 5 };
}

const json = { level: 'info', format: 'json' } as const;

describe('where the log goes', () => {
  it('is text for people, in which a client’s text stays inside its field', async (t) => {
    const to = output(t);
    await using opened = await openLog({ level: 'info', format: 'text' }, to);
    opened.log.info('login', { result: 'rejected', user: 'eve reason=x\n\u001b[2J\u202e', client: '192.0.2.1' });
    await eventually(() => to.written().length === 1);
    assert.match(
      to.written()[0] ?? '',
      /^\d\d:\d\d:\d\d\.\d{3} INFO {2}login {2}event=login result=rejected user="eve reason=x\\n\\u001b\[2J\\u202e" client=192\.0\.2\.1$/,
    );
  });

  it('shows the stack of an error on lines of its own', async (t) => {
    const to = output(t);
    await using opened = await openLog({ level: 'info', format: 'text' }, to);
    opened.log.error('page-failed', { err: new TypeError('no page') });
    await eventually(() => to.written().length > 2);
    const [head = '', fields = '', frame = ''] = to.written();
    assert.match(head, /ERROR page failed {2}event=page-failed$/);
    assert.match(fields, /^ {4}\{"type":"TypeError"/);
    assert.match(frame, /^ {4}at /);
  });

  it('is JSON where no person reads it', async (t) => {
    const to = output(t);
    await using opened = await openLog({ level: 'info', format: 'auto' }, to);
    opened.log.info('closed');
    await eventually(() => to.written().length === 1);
    assert.deepEqual(to.events(), ['closed']);
  });

  it('tells the journal the priority of each line, and no other stream', async (t) => {
    const [journal, file] = [output(t), output(t)];
    await using inJournal = await openLog(json, { ...journal, journal: journal.stream });
    await using inFile = await openLog(json, { ...file, journal: journal.stream });
    for (const { log } of [inJournal, inFile]) {
      log.info('closed');
      log.warn('host-down');
      log.error('audit-unavailable');
    }
    await eventually(() => journal.written().length === 3 && file.written().length === 3);
    assert.deepEqual(
      journal.written().map((line) => line.slice(0, 4)),
      ['<6>{', '<4>{', '<3>{'],
    );
    assert.deepEqual(file.events(), ['closed', 'host-down', 'audit-unavailable']);
  });

  for (const secure of [false, true]) {
    it(`is copied to a syslog server over ${secure ? 'TLS' : 'TCP'}, with the event as the message’s id`, async (t) => {
      const to = output(t);
      const { certificate, key } = createCertificate(['127.0.0.1'], Date.now());
      const server = secure ? createTlsServer({ cert: certificate, key }) : createServer();
      await using heard = syslogListener(server, secure ? 'secureConnection' : undefined);
      const port = await listening(server);
      const syslog = { host: '127.0.0.1', port, ...(secure ? { tls: { ca: certificate } } : {}) };
      await using opened = await openLog({ ...json, syslog }, to);
      opened.log.info('login', { user: 'bjørn' });
      opened.log.error('audit-unavailable');
      await eventually(() => heard.messages.length === 2 && to.events().length === 2);
      const [first = '', second = ''] = heard.messages;
      // Facility 3 (daemon), severity 6 (informational) and 3 (error).
      assert.match(first, /^<30>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \S+ postern \d+ login - \{"level":"info"/);
      assert.equal(JSON.parse(first.slice(first.indexOf('{'))).user, 'bjørn');
      assert.match(second, /^<27>1 .* audit-unavailable - /);
      assert.deepEqual(to.events(), ['login', 'audit-unavailable']);
    });
  }

  it('goes on while the syslog server is away, and says so', async (t) => {
    const to = output(t);
    const port = await freePort();
    await using opened = await openLog({ ...json, syslog: { host: '127.0.0.1', port } }, to);
    opened.log.info('closed');
    await eventually(() => to.events().includes('log-copy-waits'));
    const server = createServer();
    await using heard = syslogListener(server);
    server.listen(port, '127.0.0.1');
    await eventually(() => heard.messages.length === 1 && to.events().includes('log-copy-resumed'));
  });

  it('drops what is too much for the syslog server, counts it, and writes all of it here', async (t) => {
    const to = output(t);
    const server = createServer();
    await using heard = syslogListener(server);
    const syslog = { host: '127.0.0.1', port: await listening(server) };
    await using opened = await openLog({ ...json, syslog }, to);
    for (let sent = 0; sent < 1_200; sent += 1) opened.log.info('closed');
    await eventually(() => to.events().includes('log-copy-resumed'));
    const events = to.events();
    assert.equal(events.filter((event) => event === 'closed').length, 1_200);
    assert.equal(events.filter((event) => event === 'log-copy-stopped').length, 1);
    assert.equal(JSON.parse(to.written().find((line) => line.includes('copy-resumed')) ?? '').dropped, 200);
    await eventually(() => heard.messages.length === 1_000);
  });
});
