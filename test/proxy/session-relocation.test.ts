import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';
import type { Backend } from '../../src/core/backend.ts';
import type { BackendName } from '../../src/core/names.ts';
import type { Closure, HostEvidence, Place, Relocate } from '../../src/core/placement.ts';
import { listening } from '../ports.fixture.ts';
import { ask, type Gate, type GateOptions, get, request, startGate, startRecordingBackend } from './gate.fixture.ts';

const page = ['Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document'];
const down: Closure = { kind: 'down', backend: 'a' as BackendName, sinceMs: 1, texts: {} };

const rejected: Relocate = async () => ({ kind: 'rejected' });
const away: Relocate = () => Promise.reject(new Error('away'));
const sayAgain = () => ({ status: 200, headers: [], body: 'again' });

async function closedPort(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A gate whose session belongs on the standby, and is led there once. */
async function movingGate(options: Partial<GateOptions> & Pick<GateOptions, 'backendPort' | 'standbyPort'>) {
  const relocations: string[] = [];
  let isLed = false;
  const relocate: Relocate = async (session) => {
    relocations.push(session.record.user);
    isLed = true;
    return { kind: 'relocated', landing: '/mail/', browserCookies: ['colour=dark; Path=/'] };
  };
  const place = (_session: unknown, backend: Backend): Place => {
    const host = backend.hosts[1] ?? backend.hosts[0];
    return isLed ? { kind: 'here', host } : { kind: 'elsewhere', backend: backend.name, host };
  };
  const gate = await startGate({ relocate, place, ...options });
  return { gate, relocations };
}

/** `then`: what is the case once the host is lost. */
async function failingGate(bytes: string, then: 'a standby takes over' | 'nobody does' | 'the session was led away') {
  await using there = await startRecordingBackend();
  const evidence: [string, HostEvidence][] = [];
  let isLost = false;
  let isLed = false;
  await using gate: Gate = await startGate({
    backendPort: await closedPort(),
    standbyPort: there.port,
    hostEvidence(host, seen) {
      evidence.push([host, seen]);
      isLost ||= seen === 'refused';
    },
    place(_session, backend) {
      const [first, second = first] = backend.hosts;
      if (!isLost) return { kind: 'here', host: first };
      if (isLed || then === 'the session was led away') return { kind: 'here', host: second };
      return then === 'a standby takes over'
        ? { kind: 'elsewhere', backend: backend.name, host: second }
        : { kind: 'closed', closure: down };
    },
    async relocate() {
      isLed = true;
      return { kind: 'relocated', landing: '/', browserCookies: [] };
    },
  });
  return { answer: await ask(gate.port, bytes), evidence, seen: there.seen };
}

describe('a session that belongs on another host', () => {
  it('moves there, and a page is loaded again with the cookies of the new login', async () => {
    await using here = await startRecordingBackend();
    await using there = await startRecordingBackend();
    const { gate, relocations } = await movingGate({ backendPort: here.port, standbyPort: there.port });
    await using _gate = gate;
    const answer = await ask(gate.port, get('/mail/?_mbox=INBOX', ...page));
    assert.match(answer, /^HTTP\/1\.1 303 /);
    assert.match(answer, /Location: http:\/\/mail\.example\.test\/mail\/\?_mbox=INBOX\r\n/);
    assert.match(answer, /Set-Cookie: colour=dark; Path=\/\r\n/);
    assert.match(await ask(gate.port, get('/mail/?_mbox=INBOX', ...page)), /\r\n\r\nok$/);
    assert.deepEqual(relocations, ['alice@example.test']);
    assert.deepEqual([here.seen.length, there.seen.length], [0, 1]);
  });

  it('moves there during a script’s read, which is then sent there', async () => {
    await using here = await startRecordingBackend();
    await using there = await startRecordingBackend();
    const { gate } = await movingGate({ backendPort: here.port, standbyPort: there.port });
    await using _gate = gate;
    const answer = await ask(gate.port, get('/api/poll', 'X-Requested-With: XMLHttpRequest'));
    assert.match(answer, /^HTTP\/1\.1 200 [^]*Set-Cookie: colour=dark[^]*\r\n\r\nok$/);
    assert.equal(there.seen[0]?.target, '/api/poll');
  });

  it('carries a form there once, or lets the script say it again where the driver can', async () => {
    await using here = await startRecordingBackend();
    await using there = await startRecordingBackend();
    const lines = ['Cookie: postern=alice', 'X-Requested-With: XMLHttpRequest', 'Content-Length: 5'];
    const post = request('POST', '/save', lines, 'draft');
    {
      const { gate } = await movingGate({ backendPort: here.port, standbyPort: there.port });
      await using _gate = gate;
      assert.match(await ask(gate.port, post), /^HTTP\/1\.1 200 /);
      assert.deepEqual([there.seen.length, there.seen[0]?.body], [1, 'draft']);
    }
    const { gate } = await movingGate({
      backendPort: here.port,
      standbyPort: there.port,
      driver: { retryAnswer: sayAgain },
    });
    await using _gate = gate;
    assert.match(await ask(gate.port, post), /\r\n\r\nagain$/);
    assert.equal(there.seen.length, 1);
  });

  it('ends when the new webmail refuses its password', async () => {
    await using here = await startRecordingBackend();
    const { gate } = await movingGate({ backendPort: here.port, standbyPort: here.port, relocate: rejected });
    await using _gate = gate;
    assert.match(await ask(gate.port, get('/mail/', ...page)), /Location: [^\r]*ended=password-changed/);
    assert.deepEqual(gate.session.ended, ['password-changed']);
  });

  it('gets a 503 when nobody can sign it in there now, and lives on', async () => {
    await using here = await startRecordingBackend();
    const { gate } = await movingGate({ backendPort: here.port, standbyPort: here.port, relocate: away });
    await using _gate = gate;
    assert.match(await ask(gate.port, get('/mail/', ...page)), /^HTTP\/1\.1 503 /);
    assert.deepEqual(gate.session.ended, []);
  });
});

describe('a host that is lost under a request', () => {
  for (const then of ['a standby takes over', 'the session was led away'] as const) {
    it(`loses no read: the standby answers it (${then})`, async () => {
      const { answer, evidence } = await failingGate(get('/api/list', 'X-Requested-With: XMLHttpRequest'), then);
      assert.match(answer, /^HTTP\/1\.1 200 /);
      assert.deepEqual(evidence, [
        ['a', 'refused'],
        ['a/2', 'good'],
      ]);
    });
  }

  it('replays nothing with a body, although it may never have arrived', async () => {
    const post = request('POST', '/send', ['Cookie: postern=alice', 'Content-Length: 4'], 'mail');
    const { answer, seen } = await failingGate(post, 'a standby takes over');
    assert.match(answer, /^HTTP\/1\.1 503 /);
    assert.deepEqual(seen, []);
  });

  it('is a 503 where nobody stands by', async () => {
    const { answer } = await failingGate(get('/api/list', 'X-Requested-With: XMLHttpRequest'), 'nobody does');
    assert.match(answer, /^HTTP\/1\.1 503 /);
  });
});

describe('a backend that is closed', () => {
  it('is not asked, and says why; its sessions live on', async () => {
    await using backend = await startRecordingBackend();
    const closure: Closure = { ...down, kind: 'maintenance' };
    await using gate = await startGate({ backendPort: backend.port, place: () => ({ kind: 'closed', closure }) });
    assert.match(await ask(gate.port, get('/mail/', ...page)), /^HTTP\/1\.1 503 [^]*maintenance/);
    assert.deepEqual(backend.seen, []);
    assert.deepEqual(gate.session.ended, []);
  });

  it('tells of 502 and 504 that real requests met, and not of a 500', async () => {
    let status = 502;
    const evidence: HostEvidence[] = [];
    await using backend = await startRecordingBackend((_request, response) => response.writeHead(status).end());
    await using gate = await startGate({
      backendPort: backend.port,
      hostEvidence: (_host, seen) => void evidence.push(seen),
    });
    for (status of [502, 504, 500, 503, 404, 200]) await ask(gate.port, get('/mail/', 'Connection: close'));
    assert.deepEqual(evidence, ['failed', 'failed', 'good', 'good']);
  });
});
