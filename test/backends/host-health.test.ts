import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { describe, it } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { createCertificate } from '../../demo/certificate.ts';
import { createHealth, type HealthProbes } from '../../src/backends/health.ts';
import { createFailureRow, createHostHealth, createTrials } from '../../src/backends/host-health.ts';
import { createProbes } from '../../src/backends/probes.ts';
import { systemClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { eventually } from '../eventually.fixture.ts';
import { handClock, hostNamed, usualHealth } from './samples.fixture.ts';

describe('the health of a host', () => {
  it('begins well, falls after three bad answers in a row and rises after two good ones', () => {
    const health = createHostHealth({ fall: 3, rise: 2, clock: handClock() });
    assert.equal(health.isUp(), true);
    health.bad('no answer');
    health.bad('no answer');
    health.good();
    health.bad('no answer');
    health.bad('no answer');
    assert.equal(health.isUp(), true);
    assert.equal(health.bad('no answer'), true);
    assert.deepEqual(health.report(), { up: false, sinceMs: 1_000_000, why: 'no answer' });
    health.good();
    health.bad('no answer');
    health.good();
    assert.equal(health.isUp(), false);
    assert.equal(health.good(), true);
    assert.equal(health.isUp(), true);
  });

  it('is down at once when nothing listens there', () => {
    const health = createHostHealth({ fall: 3, rise: 2, clock: handClock() });
    assert.equal(health.bad('refused', 'sure'), true);
    assert.equal(health.isUp(), false);
  });

  it('is believed the later the more often it fell within five minutes, and forgiven after them', () => {
    const clock = handClock();
    const health = createHostHealth({ fall: 1, rise: 2, clock });
    const checksToRise = () => {
      health.bad('no answer');
      let checks = 1;
      while (!health.good()) checks += 1;
      return checks;
    };
    assert.deepEqual([checksToRise(), checksToRise(), checksToRise(), checksToRise()], [2, 4, 8, 16]);
    assert.equal(checksToRise(), 30);
    clock.advance(5 * 60_000);
    assert.equal(checksToRise(), 2);
  });

  it('lets one request a second try while it is down', () => {
    const clock = handClock();
    const takeTrial = createTrials(clock);
    assert.deepEqual([takeTrial('a'), takeTrial('a'), takeTrial('b')], [true, false, true]);
    clock.advance(1000);
    assert.equal(takeTrial('a'), true);
  });
});

/** The reports that these requests cause when none of them was answered well. */
const rows: readonly (readonly [name: string, asked: string, told: readonly string[]])[] = [
  ['one user who clicks six times on one mail', 'ax ax ax ax ax ax', ['look', 'look']],
  ['one user who asks for many things', 'ax ay az aw', ['look']],
  ['many users who ask for one thing', 'ax bx cx dx', ['look']],
  ['two users and two things', 'ax ax by', ['down']],
  ['two users and two things, crosswise', 'ax bx ay', ['down']],
  ['two users, too few times', 'ax by', []],
];

describe('a row of requests that were not answered well', () => {
  for (const [name, asked, told] of rows) {
    it(`tells of ${name}`, () => {
      const row = createFailureRow({ fall: 3, clock: handClock() });
      const said = asked.split(' ').map(([user = '', target = '']) => row.add({ user, target }));
      assert.deepEqual(
        said.filter((one) => one !== undefined),
        told,
      );
    });
  }

  it('begins anew with a good answer, and after a minute', () => {
    const clock = handClock();
    const row = createFailureRow({ fall: 3, clock });
    const fail = (user: string) => row.add({ user, target: user });
    assert.deepEqual([fail('a'), fail('b')], [undefined, undefined]);
    row.end();
    assert.deepEqual([fail('a'), fail('b')], [undefined, undefined]);
    clock.advance(60_001);
    assert.deepEqual([fail('a'), fail('b'), row.goesOn(), fail('a')], [undefined, undefined, false, 'down']);
  });
});

/** Probes that answer as a test tells them. */
function scriptedProbes() {
  const probes = {
    webmail: async (): Promise<void> => {},
    pages: async (): Promise<void> => {},
    asked: 0,
    http: async () => {
      probes.asked += 1;
      return probes.webmail();
    },
    page: async () => probes.pages(),
    imap: async () => {},
  };
  return probes satisfies HealthProbes;
}

const quick = { ...usualHealth, httpIntervalMs: 5, imapIntervalMs: 0, timeoutMs: 50 };

function createQuickHealth(probes: HealthProbes) {
  return createHealth({ probes, clock: systemClock, random: () => 0.5, log: silentLog });
}

describe('the watch over hosts', () => {
  it('finds a host down and up again, and tells both', async () => {
    const probes = scriptedProbes();
    await using health = createQuickHealth(probes);
    let told = 0;
    health.onChange(() => {
      told += 1;
    });
    health.watch([{ host: hostNamed('a'), settings: quick, target: '/' }]);
    probes.webmail = () => Promise.reject(new Error('answered 502'));
    await eventually(() => !health.isUp('a'));
    assert.equal(health.report('a')?.webmail.why, 'answered 502');
    assert.equal(health.isWebmailUp('a'), false);
    probes.webmail = async () => {};
    await eventually(() => health.isUp('a'));
    assert.equal(told, 2);
  });

  it('says of a certificate that it does not trust what to set, not what Node advises', async () => {
    const { certificate, key } = createCertificate(['127.0.0.1'], Date.now());
    const server = createTlsServer({ cert: certificate, key }, (socket) => socket.on('error', () => {}));
    server.on('tlsClientError', () => {});
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const imap = { hostname: '127.0.0.1', port, security: 'tls' as const, trust: {} };
    {
      await using health = createQuickHealth(createProbes(() => 'mail.example.test'));
      const settings = { ...quick, httpIntervalMs: 0, imapIntervalMs: 5, timeoutMs: 5000 };
      health.watch([{ host: { ...hostNamed('a'), imap }, settings, target: '/' }]);
      await eventually(() => !health.isUp('a'));
      assert.equal(health.report('a')?.imap.why, 'the certificate is from an unknown authority: set tls_ca_file');
    }
    server.close();
    await once(server, 'close');
  });

  it('takes a probe that hangs for a bad one, by its own timeout', async () => {
    const probes: HealthProbes = {
      http: (_watched, signal) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      page: async () => {},
      imap: async () => {},
    };
    await using health = createQuickHealth(probes);
    health.watch([{ host: hostNamed('a'), settings: { ...quick, timeoutMs: 5 }, target: '/' }]);
    await eventually(() => !health.isUp('a'));
    assert.equal(health.takeTrial('a'), false, 'nobody is made to wait for it');
  });

  it('finds a host that hangs down within 6 s by the default settings', async (t) => {
    const probes: HealthProbes = {
      http: (_watched, signal) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      page: async () => {},
      imap: async () => {},
    };
    // The first look is as late as it can be: a whole interval, and its jitter, passes before it.
    await using health = createHealth({ probes, clock: systemClock, random: () => 1, log: silentLog });
    const startedMs = performance.now();
    health.watch([{ host: hostNamed('a'), settings: { ...usualHealth, timeoutMs: 1000 }, target: '/' }]);
    await eventually(() => !health.isUp('a'));
    const tookMs = performance.now() - startedMs;
    t.diagnostic(`down after ${Math.round(tookMs)} ms`);
    assert.ok(tookMs < 6_000, `${tookMs} ms`);
  });

  it('asks no more once a host is not to be watched, and keeps what it learnt of others', async () => {
    const probes = scriptedProbes();
    await using health = createQuickHealth(probes);
    const a = { host: hostNamed('a'), settings: { ...quick, httpIntervalMs: 0 }, target: '/' };
    const b = { host: hostNamed('b'), settings: quick, target: '/' };
    health.watch([a, b]);
    health.note('a', 'refused');
    await eventually(() => probes.asked > 0);
    health.watch([a]);
    const { asked } = probes;
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.ok(probes.asked <= asked + 1);
    assert.equal(health.isUp('a'), false);
    health.watch([{ ...a, target: '/other' }]);
    assert.equal(health.isUp('a'), true);
  });

  it('believes real requests: one that is refused at once, ones that are answered badly after three', async () => {
    await using health = createQuickHealth(scriptedProbes());
    health.watch([{ host: hostNamed('a'), settings: { ...quick, httpIntervalMs: 0 }, target: '/' }]);
    health.note('a', 'failed');
    health.note('a', 'good');
    health.note('a', 'failed');
    health.note('a', 'failed');
    assert.equal(health.isUp('a'), true);
    health.note('a', 'failed');
    assert.equal(health.isUp('a'), false);
    health.note('a', 'good');
    assert.equal(health.isUp('a'), true);
    health.note('a', 'refused');
    assert.equal(health.isUp('a'), false);
    health.note('nobody', 'refused');
    assert.equal(health.isUp('nobody'), true);
  });

  it('leaves a host whose one answer is broken, and asks it for a page where one user has met nothing else', async () => {
    const probes = scriptedProbes();
    await using health = createQuickHealth(probes);
    health.watch([{ host: hostNamed('a'), settings: { ...quick, httpIntervalMs: 0 }, target: '/' }]);
    let asked = 0;
    probes.pages = async () => void (asked += 1);
    const click = () => health.note('a', 'failed', { user: 'alice', target: '/mail?uid=7' });
    for (let nth = 0; nth < 6; nth += 1) click();
    await eventually(() => asked === 2);
    assert.equal(health.isUp('a'), true);
    probes.pages = () => Promise.reject(new Error('answered 502'));
    for (let nth = 0; nth < 3; nth += 1) click();
    await eventually(() => !health.isUp('a'));
    assert.match(health.report('a')?.webmail.why ?? '', /and so did one for \/: answered 502/);
    health.note('a', 'good', { user: 'alice', target: '/' });
    health.note('a', 'failed', { user: 'alice', target: '/' });
    health.note('a', 'failed', { user: 'bob', target: '/' });
    assert.equal(health.isUp('a'), true);
    health.note('a', 'failed', { user: 'bob', target: '/inbox' });
    assert.equal(health.isUp('a'), false);
  });

  it('lets requests try a host again a minute after they were answered badly', async () => {
    const clock = handClock();
    await using health = createHealth({ probes: scriptedProbes(), clock, random: () => 0.5, log: silentLog });
    health.watch([
      { host: hostNamed('a'), settings: { ...usualHealth, httpIntervalMs: 0, imapIntervalMs: 0 }, target: '/' },
    ]);
    for (let i = 0; i < 3; i += 1) health.note('a', 'failed');
    assert.equal(health.isWebmailUp('a'), false);
    clock.advance(60_001);
    assert.equal(health.isWebmailUp('a'), true);
  });
});

describe('a probe of a real host', () => {
  it('is content with any answer below 500, asks for its head alone, and under the public name', async () => {
    const asked: string[] = [];
    let status = 404;
    const server = createServer((request, response) => {
      asked.push(`${request.method} ${request.headers.host} ${request.url}`);
      // A strict parser does not take this head.
      request.socket.write(
        `HTTP/1.1 ${request.method === 'GET' ? 200 : status} \r\nX: \x01${'x'.repeat(20_000)}\r\n\r\n`,
      );
      response.destroy();
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const watched = {
      host: hostNamed('a', (server.address() as AddressInfo).port),
      settings: usualHealth,
      target: '/favicon.ico',
    };
    const probes = createProbes(() => 'mail.example.test');
    await probes.http(watched, AbortSignal.timeout(5000));
    assert.deepEqual(asked, ['HEAD mail.example.test /favicon.ico']);
    status = 501;
    await probes.http(watched, AbortSignal.timeout(5000));
    assert.deepEqual(asked.slice(1), ['HEAD mail.example.test /favicon.ico', 'GET mail.example.test /favicon.ico']);
    status = 502;
    await assert.rejects(probes.http(watched, AbortSignal.timeout(5000)), /answered 502/);
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
    await assert.rejects(probes.http(watched, AbortSignal.timeout(5000)), { code: 'ECONNREFUSED' });
  });

  it('is not content with a server that greets with something else than IMAP', async () => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.resume();
      socket.end('220 smtp.example.test ESMTP\r\n');
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const host = { ...hostNamed('a'), imap: { hostname: '127.0.0.1', port, security: 'starttls' as const, trust: {} } };
    const probes = createProbes(() => 'mail.example.test');
    await assert.rejects(probes.imap({ host, settings: usualHealth, target: '/' }, AbortSignal.timeout(5000)));
    server.close();
    await once(server, 'close');
  });
});
