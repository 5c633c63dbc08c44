import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { hostname } from 'node:os';
import { describe, it } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { createCertificate } from '../../demo/certificate.ts';
import { createSyslogCopy, type SyslogCopyOptions } from '../../src/audit/syslog.ts';
import { silentLog } from '../../src/core/log.ts';
import { eventually } from '../eventually.fixture.ts';
import { freePort, listening, portOf } from '../ports.fixture.ts';
import { auditIn, linesOf, newFile, start } from './audit.fixture.ts';
import { syslogListener } from './syslog-listener.fixture.ts';

/** A copy whose words to the log are kept. */
function copyTo(port: number, given: Partial<SyslogCopyOptions> = {}) {
  const said: string[] = [];
  const say = (event: string, fields: object = {}) => {
    said.push(event, ...('lost' in fields ? [`lost ${String(fields.lost)}`] : []));
  };
  const log = { ...silentLog, info: say, warn: say, error: say };
  const copy = createSyslogCopy({ host: '127.0.0.1', port, node: 'node 1', log, retryMs: 5, ...given });
  return Object.assign(copy, { said });
}

const line = (text: string) => ({ text, event: 'role-used', timeMs: start });
const head = `<109>1 2026-03-01T08:00:00.000Z node_1 postern ${process.pid} role-used - `;

describe('the copy of the audit', () => {
  it('is one message for each line on disk, in order, over TCP', async () => {
    const server = createServer();
    await using heard = syslogListener(server);
    await using copy = copyTo(await listening(server), { node: hostname() });
    await using audit = auditIn(newFile(), { written: (written) => copy.send(written) });
    await Promise.all(['sam', 'bjørn 🐻', 'eve\n1 <109>1'].map((actor) => audit.record({ event: 'role-used', actor })));
    await eventually(() => heard.messages.length === 3);
    const texts = heard.messages.map((message) => message.slice(message.indexOf('{')));
    assert.deepEqual(
      texts.map((text) => JSON.parse(text).mac),
      linesOf(audit.file).map(({ mac }) => mac),
    );
    for (const message of heard.messages)
      assert.match(message, /^<109>1 2026-03-01T08:00:00\.000Z \S+ postern \d+ role-used - \{/);
  });

  it('goes over TLS to a server whose certificate holds, and to no other', async () => {
    const { certificate, key } = createCertificate(['127.0.0.1'], Date.now());
    const stranger = createCertificate(['127.0.0.1'], Date.now());
    const server = createTlsServer({ cert: certificate, key });
    await using heard = syslogListener(server, 'secureConnection');
    const port = await listening(server);
    await using wrong = copyTo(port, { tls: { ca: stranger.certificate } });
    wrong.send(line('secret'));
    await eventually(() => wrong.said.length > 0);
    await using copy = copyTo(port, { tls: { ca: certificate } });
    copy.send(line('one'));
    await eventually(() => heard.messages.length > 0);
    assert.deepEqual(heard.messages, [`${head}one`]);
  });

  it('waits for a server that is away, and then arrives whole and in order', async () => {
    const port = await freePort();
    await using copy = copyTo(port);
    const texts = Array.from({ length: 1000 }, (_, index) => `line ${index}`);
    for (const text of texts) copy.send(line(text));
    await eventually(() => copy.said.length > 0);
    const server = createServer();
    await using heard = syslogListener(server);
    await once(server.listen(port, '127.0.0.1'), 'listening');
    await eventually(() => heard.messages.length === 1000);
    assert.deepEqual(
      heard.messages,
      texts.map((text) => head + text),
    );
    assert.deepEqual(copy.said, ['audit-copy-waits', 'audit-copy-resumed']);
  });

  it('goes on over another connection when one breaks', async () => {
    const server = createServer();
    await using heard = syslogListener(server);
    await using copy = copyTo(await listening(server));
    copy.send(line('before'));
    await eventually(() => heard.messages.length === 1);
    for (const socket of heard.sockets) socket.destroy();
    await eventually(() => copy.said.includes('audit-copy-resumed'));
    copy.send(line('after'));
    await eventually(() => heard.messages.length === 2);
  });

  it('drops what is too much, counts it, and holds nobody up', async () => {
    const copy = copyTo(await freePort());
    const before = performance.now();
    for (let index = 0; index < 1234; index += 1) copy.send(line(`line ${index}`));
    assert.ok(performance.now() - before < 1000);
    await copy[Symbol.asyncDispose]();
    assert.equal(copy.said.filter((said) => said === 'audit-copy-stopped').length, 1);
    assert.equal(copy.said.at(-1), 'lost 1234');
  });

  it('does not keep the process from ending where a server reads nothing', async () => {
    const server = createServer({ pauseOnConnect: true });
    await using _ = syslogListener(server);
    await listening(server);
    const copy = copyTo(portOf(server));
    for (let index = 0; index < 1000; index += 1) copy.send(line('x'.repeat(20_000)));
    const before = performance.now();
    await copy[Symbol.asyncDispose]();
    assert.ok(performance.now() - before < 5000);
    assert.match(copy.said.at(-1) ?? '', /^lost \d+$/);
  });

  it('goes on, and says how much is missing, when a server that hung reads again', async () => {
    const server = createServer({ pauseOnConnect: true });
    await using heard = syslogListener(server);
    await using copy = copyTo(await listening(server));
    for (let index = 0; index < 1100; index += 1) copy.send(line('x'.repeat(20_000)));
    await eventually(() => heard.sockets.size === 1);
    for (const socket of heard.sockets) socket.resume();
    await eventually(() => heard.messages.length === 1000);
    await eventually(() => copy.said.includes('audit-copy-resumed'));
    assert.deepEqual(copy.said, ['audit-copy-stopped', 'audit-copy-resumed']);
  });

  it('leaves before the process ends', async () => {
    const server = createServer();
    await using heard = syslogListener(server);
    const copy = copyTo(await listening(server));
    for (const text of ['one', 'two']) copy.send(line(text));
    await copy[Symbol.asyncDispose]();
    await eventually(() => heard.messages.length === 2);
    assert.deepEqual(copy.said, []);
  });
});
