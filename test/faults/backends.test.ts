import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, test } from 'node:test';
import type { Browser } from '../demo/browser.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { spawn } from '../programs.ts';
import { startFaultSite, startMachine, timed } from './site.fixture.ts';

/** Sends requests of other users while `work` runs. Resolves with their number and the slowest in milliseconds. */
async function meanwhile(other: Browser, work: Promise<unknown>) {
  let running = true;
  const ended = work.finally(() => {
    running = false;
  });
  let asked = 0;
  let slowestMs = 0;
  while (running) {
    const { ms, result } = await timed(other.text('/'));
    assert.equal(result, 'machine b');
    asked += 1;
    slowestMs = Math.max(slowestMs, ms);
  }
  await ended;
  return { asked, slowestMs };
}

test('a backend that refuses connections is down at once, up again by its checks, and nobody is signed out', async (t) => {
  await using a = await startMachine('a');
  await using b = await startMachine('b');
  await using site = await startFaultSite({ a: [a.port], b: b.port });
  const { browser } = await site.signIn('alice');
  await a.close();
  const first = await timed(browser.open('/'));
  assert.equal(first.result.status, 503);
  assert.equal(await site.stateOf('a'), 'DOWN');
  await a.open();
  const back = await timed(eventually(async () => (await browser.text('/')) === 'machine a', 'alice is served'));
  t.diagnostic(`down with the first request, ${first.ms} ms; served again after ${back.ms} ms`);
});

test('a backend that accepts and never answers is down within 6 s by its checks; others notice nothing', async (t) => {
  await using a = await startMachine('a');
  await using b = await startMachine('b');
  await using site = await startFaultSite({ a: [a.port], b: b.port });
  const alice = await site.signIn('alice');
  const bob = await site.signIn('bob');
  a.answer = () => undefined;
  const hanging = Promise.all(Array.from({ length: 50 }, () => alice.browser.open('/')));
  const down = timed(eventually(async () => (await site.stateOf('a')) === 'DOWN', 'it is found down'));
  const others = await meanwhile(bob.browser, down);
  const { ms } = await down;
  assert.ok(ms < 6_000 + 500, `${ms} ms`);
  assert.equal((await alice.browser.open('/')).status, 503);
  await a.close();
  const cut = (await hanging).filter(({ status }) => status === 502 || status === 503).length;
  assert.equal(cut, 50);
  t.diagnostic(`down after ${ms} ms; ${others.asked} requests of others meanwhile, the slowest ${others.slowestMs} ms`);
});

test('a backend behind which connections vanish is down within 6 s by its checks; others notice nothing', async (t) => {
  const hole = await startBlackHole();
  await using b = await startMachine('b');
  await using site = await startFaultSite({ a: [hole], b: b.port });
  const bob = await site.signIn('bob');
  const down = timed(eventually(async () => (await site.stateOf('a')) === 'DOWN', 'it is found down'));
  const others = await meanwhile(bob.browser, down);
  const { ms } = await down;
  assert.ok(ms < 6_000 + 500, `${ms} ms`);
  t.diagnostic(`down after ${ms} ms; ${others.asked} requests of others meanwhile, the slowest ${others.slowestMs} ms`);
});

/** A port that accepts no connection and whose queue is full: the kernel drops SYN packets. */
async function startBlackHole(): Promise<number> {
  const port = await freePort();
  const program = `import socket,sys
s=socket.socket(); s.bind(("127.0.0.1",${port})); s.listen(0); print("listens",flush=True); sys.stdin.read()`;
  const child = spawn('python3', ['-c', program], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  const fillers: Socket[] = [];
  for (let nth = 0; nth < 4; nth += 1) fillers.push(connect(port, '127.0.0.1').on('error', () => undefined));
  after(async () => {
    for (const filler of fillers) filler.destroy();
    child.kill('SIGKILL');
    if (child.signalCode === null) await once(child, 'exit');
  });
  return port;
}

test('an answer that is reset in the middle never looks whole, and a form is never sent twice', async (t) => {
  await using a = await startMachine('a');
  await using b = await startMachine('b');
  await using site = await startFaultSite({ a: [a.port], b: b.port });
  const { browser } = await site.signIn('alice');
  const seen = new Map<string, number>();
  a.answer = (request, response) => {
    seen.set(request.method ?? '', (seen.get(request.method ?? '') ?? 0) + 1);
    if (request.headers['user-agent']?.includes('postern check') === true) {
      response.end();
      return;
    }
    response.writeHead(200, { 'content-length': 1000 }).write('half');
    setImmediate(() => request.socket.resetAndDestroy());
  };
  await assert.rejects(browser.open('/'));
  const before = seen.get('POST') ?? 0;
  await assert.rejects(browser.submit('/form', new URLSearchParams({ text: 'once' })));
  assert.equal((seen.get('POST') ?? 0) - before, 1);
  await eventually(async () => {
    await browser.open('/').catch(() => undefined);
    return (await site.stateOf('a')) === 'DOWN';
  }, 'three of them in a row take it down, since the page that users land on is cut, too');
  t.diagnostic(`methods that arrived: ${JSON.stringify([...seen])}`);
});

test('10,000 reads over a backend that closes idle connections after a second, without saying so: none fails', async (t) => {
  await using a = await startMachine('a');
  await using b = await startMachine('b');
  a.server.keepAliveTimeout = 1_000;
  // Otherwise Node waits a second longer than it announces.
  a.server.keepAliveTimeoutBuffer = 0;
  let connections = 0;
  a.server.on('connection', () => (connections += 1));
  // With our own field Node does not announce its timeout.
  a.answer = (_request, response) => void response.setHeader('connection', 'keep-alive').end('machine a');
  await using site = await startFaultSite({ a: [a.port], b: b.port });
  const { browser } = await site.signIn('alice');
  const failed: string[] = [];
  const bursts = 20;
  const perBurst = 500;
  for (let burst = 0; burst < bursts; burst += 1) {
    const answers = await Promise.all(
      Array.from({ length: 50 }, async () => {
        for (let nth = 0; nth < perBurst / 50; nth += 1) {
          const { status, body } = await browser.open('/');
          if (status !== 200) failed.push(`${status} ${body.toString().slice(0, 60)}`);
        }
      }),
    );
    assert.equal(answers.length, 50);
    // The next burst comes when the backend closes: a little before, at, and after that moment.
    await new Promise((resolve) => setTimeout(resolve, 990 + burst));
  }
  t.diagnostic(`${bursts * perBurst} reads over ${connections} connections, ${failed.length} failed`);
  assert.ok(connections > 2 * bursts, `${connections} connections: the backend has closed many`);
  assert.deepEqual(failed, []);
});

test('a primary that flaps is left once: no read fails, and its users are not sent to and fro', async (t) => {
  await using primary = await startMachine('primary');
  await using standby = await startMachine('standby');
  await using b = await startMachine('b');
  await using site = await startFaultSite({ a: [primary.port, standby.port], b: b.port });
  const { browser } = await site.signIn('alice');
  const served = [await browser.text('/')];
  let flapping = true;
  const flaps = (async () => {
    for (let nth = 0; nth < 6; nth += 1) {
      await primary.close();
      await new Promise((resolve) => setTimeout(resolve, 500));
      await primary.open();
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    flapping = false;
  })();
  while (flapping) {
    const { status, body } = await browser.open('/');
    served.push(status === 200 ? body.toString() : String(status));
  }
  await flaps;
  const changes = served.filter((name, i) => i > 0 && name !== served[i - 1]).length;
  t.diagnostic(`${served.length} reads over 6 flaps, host changed ${changes} times`);
  assert.ok(served.every((name) => name === 'machine primary' || name === 'machine standby'));
  assert.ok(changes <= 1);
});

test('a backend killed under load, with a standby: no read fails, nobody signs in again, others notice nothing', async (t) => {
  const primary = await startKillable('primary');
  await using standby = await startMachine('standby');
  await using b = await startMachine('b');
  await using site = await startFaultSite({ a: [primary.port, standby.port], b: b.port });
  const alice = await site.signIn('alice');
  const bob = await site.signIn('bob');
  const answers = { alice: new Map<string, number>(), bob: new Map<string, number>() };
  let isLoaded = true;
  const readOn = async (user: keyof typeof answers, { browser }: { readonly browser: Browser }) => {
    while (isLoaded) {
      const answer = await browser
        .open('/')
        .then(({ status, body }) => `${status} ${body.toString().slice(0, 20)}`, String);
      answers[user].set(answer, (answers[user].get(answer) ?? 0) + 1);
    }
  };
  const readers = [...Array.from({ length: 16 }, () => readOn('alice', alice)), readOn('bob', bob), readOn('bob', bob)];
  const read = (user: keyof typeof answers, answer: string) => answers[user].get(answer) ?? 0;
  await eventually(() => read('alice', '200 machine primary') > 500, 'there is load');
  const took = timed(eventually(() => read('alice', '200 machine standby') > 500, 'the standby carries it'));
  primary.kill();
  await took.finally(() => {
    isLoaded = false;
  });
  await Promise.all(readers);
  t.diagnostic(
    `alice: ${JSON.stringify([...answers.alice])}, bob: ${JSON.stringify([...answers.bob])}; ` +
      `500 reads by the standby ${(await took).ms} ms after the kill`,
  );
  assert.deepEqual(new Set(answers.alice.keys()), new Set(['200 machine primary', '200 machine standby']));
  assert.deepEqual([...answers.bob.keys()], ['200 machine b']);
});

/** A slow webmail in its own process, so that requests are pending when it is killed. */
async function startKillable(name: string): Promise<{ readonly port: number; kill(): void }> {
  const port = await freePort();
  const program = `require('node:http').createServer((request, response) => {
    setTimeout(() => response.end('machine ${name}'), 5);
  }).listen(${port}, '127.0.0.1', () => console.log('listens'));`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const kill = (): void => void child.kill('SIGKILL');
  after(async () => {
    kill();
    await exited;
  });
  await once(child.stdout, 'data');
  return { port, kill };
}
