import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { Log } from '../../src/core/log.ts';
import type { AskedFor, HostEvidence } from '../../src/core/placement.ts';
import type { WebmailDriver } from '../../src/core/webmail.ts';
import { eventually } from '../eventually.fixture.ts';
import { type Machine, startFaultSite, startMachine } from '../faults/site.fixture.ts';
import { get, isWhole, RawClient, request, startGate, startScriptedBackend } from '../proxy/gate.fixture.ts';
import { mendedHeads, refusedHeads } from '../proxy/hostile-answers.fixture.ts';
import { readFieldInput } from './input.fixture.ts';

const controlName = await readFieldInput('H2-control-filename.response');
const longLength = await readFieldInput('H4-long-length.response');
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** Sends one request through a gateway whose backend answers so, and closes the connection. */
async function askOnce(
  bytes: string | Buffer,
  {
    asking = get('/mail/part?uid=7'),
    driver = {},
  }: { readonly asking?: string; readonly driver?: Partial<WebmailDriver> } = {},
) {
  const arrived: string[] = [];
  const evidence: (readonly [HostEvidence, AskedFor | undefined])[] = [];
  await using backend = await startScriptedBackend((socket) => {
    socket.once('data', (part) => {
      const line = part.toString('latin1').split('\r\n')[0] ?? '';
      arrived.push(line);
      socket.end(line.includes('/next') ? ok : bytes, 'latin1');
    });
  });
  await using gate = await startGate({
    backendPort: backend.port,
    driver,
    limits: { connections: 1 },
    hostEvidence: (_host, seen, asked) => void evidence.push([seen, asked]),
  });
  using client = await RawClient.to(gate.port);
  const answer = await client.send(asking).until(isWhole);
  await eventually(() => gate.session.attachments === 0);
  // The only allowed connection is free again, without bytes of the answer before.
  using next = await RawClient.to(gate.port);
  assert.match(await next.send(get('/next')).until(isWhole), /^HTTP\/1\.1 200 [^]*\r\n\r\nok$/);
  const end = answer.indexOf('\r\n\r\n');
  const head = answer.slice(0, end);
  return { head, body: answer.slice(end + 4), whole: isWhole(answer), arrived, evidence, warnings: gate.warnings };
}

const inOneChunk = (body: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n0\r\n\r\n')]);
const mended: readonly (readonly [name: string, bytes: string | Buffer, head: RegExp, body: string])[] = [
  [
    'control characters in the name of an attachment',
    controlName,
    /\r\nContent-Disposition: attachment; filename=" >20O 0=:5B0 {3}\.PDF"(?=\r\n|$)/,
    '%PDF-1.4 test',
  ],
  ...mendedHeads,
];

describe('an answer whose head has a fault', () => {
  for (const [name, bytes, head, body] of mended) {
    it(`arrives where its meaning is beyond doubt: ${name}`, async () => {
      const seen = await askOnce(bytes);
      assert.match(seen.head, /^HTTP\/1\.1 200 /);
      assert.match(seen.head, head);
      assert.doesNotMatch(seen.head, /\r\nset-cookie:/i);
      assert.doesNotMatch(seen.head.replaceAll('\r\n', ''), /[\0-\x1f\x7f]/);
      assert.equal(seen.body, body);
      assert.deepEqual(
        seen.evidence.map(([what]) => what),
        ['good', 'good'],
      );
    });
  }

  for (const [name, bytes] of refusedHeads) {
    it(`is a failure where it could mean two things: ${name}`, async () => {
      const seen = await askOnce(bytes);
      assert.match(seen.head, /^HTTP\/1\.1 502 /);
      assert.ok(!seen.body.includes('evil'));
      assert.ok(seen.arrived.length <= 5, seen.arrived.join());
    });
  }

  it('is asked for again only where asking changes nothing', async () => {
    const seen = await askOnce(controlName, {
      asking: request('POST', '/x', ['Cookie: postern=alice', 'Content-Length: 0']),
    });
    assert.match(seen.head, /^HTTP\/1\.1 502 /);
    assert.deepEqual(seen.arrived, ['POST /x HTTP/1.1', 'GET /next HTTP/1.1']);
  });

  it('is in the log with what it was for, and with none of its bytes', async () => {
    const { warnings } = await askOnce(controlName);
    const [{ event, fields } = { event: '', fields: {} }] = warnings;
    assert.equal(event, 'webmail-head-faulty');
    assert.deepEqual(Object.keys(fields), ['requestId', 'backend', 'host', 'method', 'path', 'code', 'reason']);
    assert.ok(JSON.stringify(warnings).includes('"path":"/mail/part"'));
    assert.doesNotMatch(JSON.stringify(warnings), /uid|5B0|PDF-1\.4/);
  });
});

describe('an answer that is shorter than its length', () => {
  it('never looks whole, and the log says which one it was', async () => {
    const { head, body, whole, evidence, warnings } = await askOnce(longLength);
    assert.match(head, /^HTTP\/1\.1 200 /);
    assert.match(body, /^x+$/);
    assert.equal(whole, false);
    assert.deepEqual(evidence[0], ['failed', { user: 'alice@example.test', target: '/mail/part?uid=7' }]);
    const [{ event, fields } = { event: '', fields: {} }] = warnings;
    assert.equal(event, 'webmail-answer-broken');
    const { requestId, code, reason, ...known } = fields as Record<string, unknown>;
    assert.match(String(requestId), /^[0-9a-f]{32}$/);
    assert.deepEqual(known, {
      backend: 'a',
      host: 'a',
      method: 'GET',
      path: '/mail/part',
      status: 200,
      bytes: body.length,
    });
    assert.match(String(code), /^UND_ERR_/);
    assert.match(String(reason), /length|closed/);
  });
});

const looking: Partial<WebmailDriver> = {
  judge: () => 'look-inside',
  judgedBytes: () => 65_536,
  judgeBody: () => 'alive',
};

describe('a server that hangs up behind an answer without having said so', () => {
  const page = gzipSync('<p>mail</p>'.repeat(1000));
  const head = 'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n';

  for (const [how, before, body] of [
    ['of known length', `${head}Content-Length: ${page.length}\r\n\r\n`, page],
    ['in chunks', `${head}Transfer-Encoding: chunked\r\n\r\n`, inOneChunk(page)],
  ] as const) {
    it(`has answered, also where the driver looks inside a coded page: ${how}`, async () => {
      const {
        head: seen,
        whole,
        evidence,
        warnings,
      } = await askOnce(Buffer.concat([Buffer.from(before), body]), {
        driver: looking,
      });
      assert.match(seen, /^HTTP\/1\.1 200 /);
      assert.equal(whole, true);
      assert.deepEqual([evidence.map(([what]) => what), warnings], [['good', 'good'], []]);
    });
  }
});

/** The answer of a server to a request for one mail; it answers all others well. */
const faultyMails: readonly (readonly [name: string, answer: RequestListener])[] = [
  ['control characters', (request) => void request.socket.end(controlName)],
  ['a wrong length', (request) => void request.socket.end(longLength)],
  ['a framing in doubt', (request) => void request.socket.end(refusedHeads[0]?.[1] ?? '')],
  ['a reset', (request) => void request.socket.resetAndDestroy()],
  ['502 of one script', (_request, response) => void response.writeHead(502).end()],
  ['504 of one script', (_request, response) => void response.writeHead(504).end()],
];

function holdMail(machine: Machine, answer: RequestListener): void {
  const well = machine.answer;
  machine.answer = (asked, response) =>
    asked.url?.startsWith('/mail') === true ? answer(asked, response) : well(asked, response);
}

describe('one mail that breaks its answers', () => {
  for (const equals of [true, false]) {
    const arrangement = equals ? 'two equals' : 'a primary with a standby';
    for (const [name, answer] of faultyMails) {
      it(`leaves ${arrangement} up after six clicks: ${name}`, async () => {
        await using one = await startMachine('one');
        await using two = await startMachine('two');
        await using b = await startMachine('b');
        for (const machine of [one, two]) holdMail(machine, answer);
        const logged: string[] = [];
        const note = (event: string, fields: object = {}) => void logged.push(`${event} ${JSON.stringify(fields)}`);
        const log: Log = { debug() {}, info: note, warn: note, error: note };
        await using site = await startFaultSite({ a: [one.port, two.port], b: b.port, equals }, '', 'none', log);
        const { browser } = await site.signIn('alice');
        const before = await browser.text('/');
        for (let click = 0; click < 6; click += 1) await browser.open('/mail?uid=7').catch(() => undefined);
        assert.deepEqual(
          (await site.hostsOf('a')).map(({ state }) => state),
          ['READY', 'READY'],
        );
        assert.equal(await browser.text('/'), before);
        assert.ok(!logged.some((line) => line.startsWith('host-down') || line.startsWith('failover')));
        assert.ok(!logged.some((line) => line.includes('PDF') || line.includes('xxxx')));
      });
    }
  }
});

/** A web server whose programs are dead, while it still serves its files. */
const hasOnlyFiles: RequestListener = (asked, response) => {
  if (asked.url === '/favicon.ico') response.end();
  else response.writeHead(502).end();
};

describe('a host that answers nobody well', () => {
  it('is down after three clicks of one user, where the page that users land on says so, too', async () => {
    await using a = await startMachine('a');
    await using b = await startMachine('b');
    await using site = await startFaultSite({ a: [a.port], b: b.port });
    const { browser } = await site.signIn('alice');
    a.answer = hasOnlyFiles;
    for (let click = 0; click < 3; click += 1) await browser.open('/mail?uid=7');
    await eventually(async () => (await site.stateOf('a')) === 'DOWN');
  });

  it('is down after three requests of different users for different things', async () => {
    await using a = await startMachine('a');
    await using b = await startMachine('b');
    await using site = await startFaultSite({ a: [a.port], b: b.port });
    const alice = await site.signIn('alice');
    const anna = await site.signIn('anna');
    // The page that users land on is a file, too.
    a.answer = (asked, response) =>
      asked.url === '/' || asked.url === '/favicon.ico' ? void response.end() : void response.writeHead(502).end();
    for (let click = 0; click < 2; click += 1) await alice.browser.open(`/mail?uid=${click}`);
    assert.equal(await site.stateOf('a'), 'READY');
    await anna.browser.open('/folders');
    assert.equal(await site.stateOf('a'), 'DOWN');
  });
});
