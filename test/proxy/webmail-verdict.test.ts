import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { CookieJar } from '../../src/core/cookie-jar.ts';
import type { Answer, RequestHead } from '../../src/core/http.ts';
import type { SilentLoginOutcome, Verdict, WebmailDriver } from '../../src/core/webmail.ts';
import { eventually } from '../eventually.fixture.ts';
import { ask, type Gate, get, request, startGate, startRecordingBackend, type TestSession } from './gate.fixture.ts';

const page = ['Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document'];
const script = ['Sec-Fetch-Mode: cors', 'Sec-Fetch-Dest: empty'];

/** A webmail whose session is the cookie `sid=good`; everything else is answered with a page that says LOST. */
function webmail(coding?: (text: string) => Buffer, codingName?: string) {
  return startRecordingBackend((incoming, response) => {
    const alive = incoming.headers.cookie?.includes('sid=good') === true;
    const text = alive ? `hello ${incoming.url}` : 'LOST '.padEnd(100_000, 'x');
    if (codingName !== undefined) response.setHeader('Content-Encoding', codingName);
    if (!alive) response.setHeader('Set-Cookie', 'sid=anonymous; HttpOnly');
    response.end(coding === undefined ? text : coding(text));
  });
}

const driver: Partial<WebmailDriver> = {
  ownsCookie: (name) => name === 'sid',
  judge: () => 'look-inside',
  judgeBody: (_head, start) => (Buffer.from(start).toString('latin1').startsWith('LOST') ? 'lost' : 'alive'),
  isSignInPage: (head) => head.target === '/?_task=login',
  lostAnswer: () => ({ status: 200, headers: [], body: 'own lost answer' }),
};

function freshJar(value: string): CookieJar {
  const jar = new CookieJar(() => true);
  jar.absorb(`sid=${value}; Path=/; HttpOnly`, '/', 1000);
  return jar;
}

/** Signs in silently with `outcome`, counting. */
function signingIn(
  gate: () => Gate,
  outcome: SilentLoginOutcome = { kind: 'signed-in', landing: '/landing', browserCookies: ['color=dark; Path=/'] },
) {
  const calls: TestSession[] = [];
  const silentLogin = async (): Promise<SilentLoginOutcome> => {
    const { session } = gate();
    calls.push(session);
    if (outcome.kind === 'signed-in') session.jar.renew(freshJar('good'));
    return outcome;
  };
  return { calls, silentLogin };
}

async function lostGate(backendPort: number, outcome?: SilentLoginOutcome, more: Partial<WebmailDriver> = {}) {
  let gate: Gate | undefined;
  const signIn = signingIn(() => {
    if (gate === undefined) throw new Error('not yet');
    return gate;
  }, outcome);
  gate = await startGate({
    backendPort,
    driver: { ...driver, ...more },
    silentLogin: signIn.silentLogin,
    landing: '/landing',
  });
  gate.session.jar.absorb('sid=bad; HttpOnly; Path=/', '/', 1000);
  return { gate, calls: signIn.calls };
}

test('a page whose webmail session is lost is signed in to again and asked for once more by the browser', async () => {
  await using backend = await webmail();
  const { gate, calls } = await lostGate(backend.port);
  await using _ = gate;
  const answer = await ask(gate.port, get('/mail?id=1', ...page));
  assert.match(answer, /^HTTP\/1\.1 303 [\s\S]*\r\nLocation: http:\/\/mail\.example\.test\/mail\?id=1\r\n/);
  assert.match(answer, /\r\nSet-Cookie: color=dark; Path=\/\r\n/);
  assert.equal(calls.length, 1);
  assert.match(await ask(gate.port, get('/mail?id=1', ...page)), /hello \/mail\?id=1$/);
  assert.equal(gate.session.jar.value('sid'), 'good', 'the cookie of the lost page did not count');
});

for (const [name, coding] of [
  ['gzip', gzipSync],
  ['deflate', deflateSync],
  ['br', brotliCompressSync],
  ['zstd', zstdCompressSync],
] as const) {
  test(`a lost session is seen through ${name}, and what is alive arrives as it was coded`, async () => {
    await using backend = await webmail((text) => coding(Buffer.from(text)), name);
    const { gate } = await lostGate(backend.port);
    await using _ = gate;
    assert.match(await ask(gate.port, get('/x', ...page)), /^HTTP\/1\.1 303 /);
    const answer = await ask(gate.port, get('/x', ...page));
    assert.equal(answer.slice(answer.indexOf('\r\n\r\n') + 4), coding(Buffer.from('hello /x')).toString('latin1'));
  });
}

test('a body that says it is coded and is not arrives as it is', async () => {
  await using backend = await startRecordingBackend((_request, response) => {
    response.setHeader('Content-Encoding', 'gzip');
    response.end('not gzip');
  });
  const { gate } = await lostGate(backend.port);
  await using _ = gate;
  assert.match(await ask(gate.port, get('/x', ...page)), /^HTTP\/1\.1 200 [\s\S]*not gzip$/);
});

test('a script’s GET is asked again in its place, once, with the cookies that the browser must hold', async () => {
  await using backend = await webmail();
  const { gate, calls } = await lostGate(backend.port);
  await using _ = gate;
  const answer = await ask(gate.port, get('/list?_remote=1', ...script));
  assert.match(answer, /^HTTP\/1\.1 200 [\s\S]*Set-Cookie: color=dark; Path=\/\r\n[\s\S]*hello \/list\?_remote=1$/);
  assert.equal(calls.length, 1);
  assert.equal(backend.seen.length, 2);
});

test('a request that is lost again after the sign-in is not asked a third time', async () => {
  await using backend = await startRecordingBackend((_request, response) => response.end('LOST'));
  const { gate, calls } = await lostGate(backend.port);
  await using _ = gate;
  assert.match(await ask(gate.port, get('/x', ...script)), /LOST$/);
  assert.equal(backend.seen.length, 2);
  assert.equal(calls.length, 1);
});

test('a script that can repeat its request itself is told to, once the user is signed in again', async () => {
  await using backend = await webmail();
  const again = { status: 200, headers: [], body: 'say it again' };
  const { gate, calls } = await lostGate(backend.port, undefined, { retryAnswer: () => again });
  await using _ = gate;
  const post = request('POST', '/?_remote=1', ['Cookie: postern=alice', 'Content-Length: 2', ...script], 'hi');
  assert.match(
    await ask(gate.port, post),
    /^HTTP\/1\.1 200 [\s\S]*Set-Cookie: color=dark; Path=\/\r\n[\s\S]*say it again$/,
  );
  assert.equal(calls.length, 1);
  assert.match(await ask(gate.port, post), /hello \/\?_remote=1$/);
});

function retryAnswer(): Answer {
  return { status: 200, headers: [], body: 'all is kept' };
}

test('a page that depends on the old webmail session is told, and its reads are not asked again behind its back', async () => {
  await using backend = await webmail();
  const { gate, calls } = await lostGate(backend.port, undefined, { retryAnswer, mayReplay: () => false });
  await using _ = gate;
  assert.match(await ask(gate.port, get('/?_action=keep-alive', ...script)), /all is kept$/);
  assert.equal(calls.length, 1);
  assert.equal(backend.seen.length, 1);
});

test('a page that is older than the webmail session is told so, and nobody signs in again', async () => {
  await using backend = await webmail();
  const { gate, calls } = await lostGate(backend.port, undefined, { retryAnswer, judgeBody: () => 'outdated' });
  await using _ = gate;
  const post = request('POST', '/?_framed=1', ['Cookie: postern=alice', 'Content-Length: 2', ...script], 'hi');
  assert.match(await ask(gate.port, post), /all is kept$/);
  assert.equal(calls.length, 0);
  assert.equal(backend.seen.length, 1);
});

test('a page that would only show an error in a fresh webmail session goes where the driver says', async () => {
  await using backend = await webmail();
  const { gate } = await lostGate(backend.port, undefined, { resumeTarget: (target) => `${target}&fresh` });
  await using _ = gate;
  assert.match(
    await ask(gate.port, get('/x?_token=old', ...page)),
    /\r\nLocation: http:\/\/mail\.example\.test\/x\?_token=old&fresh\r\n/,
  );
});

function judgePosts(head: RequestHead): Verdict {
  return head.method === 'POST' ? 'lost' : 'alive';
}

const write = request('POST', '/?_remote=1', ['Cookie: postern=alice', 'Content-Length: 2', ...script], 'hi');

test('nothing with a body is repeated: the script gets its lost answer, and the second try finds a session', async () => {
  await using backend = await webmail();
  const { gate, calls } = await lostGate(backend.port);
  await using _ = gate;
  const answer = await ask(gate.port, write);
  assert.match(answer, /^HTTP\/1\.1 200 [\s\S]*\r\n\r\nLOST x*$/);
  assert.doesNotMatch(answer, /sid=/, 'the cookie of the lost answer does not count');
  assert.deepEqual([backend.seen.length, calls.length], [1, 1]);
  assert.equal(gate.session.jar.value('sid'), 'good');
  assert.match(await ask(gate.port, write), /hello \/\?_remote=1$/);
});

test('a small lost answer waits for the sign-in, and brings the cookies that the second try needs', async () => {
  await using backend = await startRecordingBackend((incoming, response) =>
    response.end(incoming.headers.cookie?.includes('sid=good') === true ? 'hello' : 'LOST'),
  );
  const { gate } = await lostGate(backend.port);
  await using _ = gate;
  assert.match(await ask(gate.port, write), /^HTTP\/1\.1 200 [\s\S]*Set-Cookie: color=dark; Path=\/\r\n[\s\S]*LOST$/);
});

test('a lost answer that waits for the sign-in holds no connection that the sign-in needs', async () => {
  await using backend = await startRecordingBackend((_request, response) => response.end('LOST'));
  let gate: Gate | undefined;
  const silentLogin = async (): Promise<SilentLoginOutcome> => {
    // Another request by the only connection that there is.
    assert.match(await ask(gate?.port ?? 0, get('/other', ...script)), /^HTTP\/1\.1 200 /);
    gate?.session.jar.renew(freshJar('good'));
    return { kind: 'signed-in', landing: '/', browserCookies: [] };
  };
  gate = await startGate({
    backendPort: backend.port,
    driver: { ...driver, judge: judgePosts },
    silentLogin,
    limits: { connections: 1 },
  });
  await using _ = gate;
  assert.match(await ask(gate.port, write), /LOST$/);
  assert.equal(gate.session.jar.value('sid'), 'good');
});

test('a script whose lost write cannot be followed by a sign-in gets the webmail’s answer all the same', async () => {
  await using backend = await webmail();
  const { gate } = await lostGate(backend.port, { kind: 'too-often' });
  await using _ = gate;
  assert.match(await ask(gate.port, write), /LOST x*$/);
});

test('a lost write after the password was changed ends the session', async () => {
  await using backend = await webmail();
  const { gate } = await lostGate(backend.port, { kind: 'rejected' });
  await using _ = gate;
  assert.match(await ask(gate.port, write), /own lost answer$/);
  assert.deepEqual(gate.session.ended, ['password-changed']);
});

test('requests that were lost before another one signed in do not sign in again', async () => {
  let release: (() => void) | undefined;
  await using backend = await startRecordingBackend((incoming, response) => {
    if (incoming.headers.cookie?.includes('sid=good') === true) response.end('hello');
    else if (incoming.url === '/slow') release = () => response.end('LOST');
    else response.end('LOST');
  });
  const { gate, calls } = await lostGate(backend.port);
  await using _ = gate;
  const slow = ask(gate.port, get('/slow', ...script));
  await eventually(() => release !== undefined);
  assert.match(await ask(gate.port, get('/fast', ...script)), /hello$/);
  release?.();
  assert.match(await slow, /hello$/);
  assert.equal(calls.length, 1);
});

test('a refused silent sign-in ends the session, and the sign-in page says why', async () => {
  await using backend = await webmail();
  const { gate } = await lostGate(backend.port, { kind: 'rejected' }, { lostAnswer: () => undefined });
  await using _ = gate;
  assert.match(
    await ask(gate.port, get('/x', ...page)),
    /^HTTP\/1\.1 303 [\s\S]*\/-\/login\?next=%2Fx&ended=password-changed\r\n/,
  );
  assert.deepEqual(gate.session.ended, ['password-changed']);
});

test('a webmail that loses its session again and again is said to, and its script gets what it understands', async () => {
  await using backend = await webmail();
  const { gate } = await lostGate(backend.port, { kind: 'too-often' });
  await using _ = gate;
  assert.match(await ask(gate.port, get('/x', ...page)), /^HTTP\/1\.1 503 [\s\S]*too often$/);
  assert.match(await ask(gate.port, get('/x', ...script)), /^HTTP\/1\.1 200 [\s\S]*own lost answer$/);
});

test('a silent sign-in that could not be tried is an unavailable webmail', async () => {
  await using backend = await webmail();
  await using gate = await startGate({ backendPort: backend.port, driver });
  assert.match(await ask(gate.port, get('/x', ...page)), /^HTTP\/1\.1 503 [\s\S]*unavailable$/);
});

function judgeBody(): never {
  throw new TypeError('a bug');
}

test('a driver that throws costs its request', async () => {
  await using backend = await startRecordingBackend();
  const bugs = [
    { judge: judgeBody },
    { judge: () => 'look-inside' as const, judgeBody },
    { requestHeaders: judgeBody },
  ];
  for (const driver of bugs) {
    await using gate = await startGate({ backendPort: backend.port, driver });
    assert.match(await ask(gate.port, get('/x', ...page)), /^HTTP\/1\.1 50[23] /);
  }
});

test('the webmail’s own sign-in page and the root lead to the landing page', async () => {
  await using backend = await startRecordingBackend();
  const { gate } = await lostGate(backend.port, undefined, { judge: () => 'alive' });
  await using _ = gate;
  const landing = /^HTTP\/1\.1 303 [\s\S]*\r\nLocation: http:\/\/mail\.example\.test\/landing\r\n/;
  assert.match(await ask(gate.port, get('/?_task=login', ...page)), landing);
  assert.match(await ask(gate.port, get('/', ...page)), landing);
  assert.equal(backend.seen.length, 0);
  assert.match(await ask(gate.port, get('/landing', ...page)), /^HTTP\/1\.1 200 /);
});

/** A webmail that signs out at /logout, by a page or by a redirect. */
function signingOut(status: number, location = '/bye') {
  return startRecordingBackend((_request, response) => {
    response.writeHead(status, {
      'Set-Cookie': ['sid=-del-; Max-Age=0; HttpOnly', 'XSRF=; Max-Age=0; Path=/'],
      Location: location,
    });
    response.end('own sign-in form');
  });
}

const signedOut: Partial<WebmailDriver> = { judge: (head) => (head.target === '/logout' ? 'signed-out' : 'alive') };

test('a sign-out of the webmail ends the session and leaves nothing in the browser', async () => {
  await using backend = await signingOut(200);
  await using gate = await startGate({ backendPort: backend.port, driver: signedOut });
  gate.session.jar.absorb('colorMode=dark; Path=/mail', '/', 1000);
  const answer = await ask(gate.port, get('/logout', ...page));
  assert.match(
    answer,
    /^HTTP\/1\.1 303 [\s\S]*\r\nLocation: http:\/\/mail\.example\.test\/-\/login\?ended=signed-out\r\n/,
  );
  assert.doesNotMatch(answer, /Clear-Site-Data/);
  assert.match(answer, /\r\nSet-Cookie: postern=; Path=\/; Max-Age=0\r\n/);
  assert.match(answer, /\r\nSet-Cookie: colorMode=; Path=\/mail; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0\r\n/);
  assert.deepEqual(gate.session.ended, ['signed-out']);
});

test('a sign-out that leads elsewhere is followed, and one by a script gets its answer', async () => {
  for (const [status, location, kind] of [
    [302, 'https://id.example.test/bye', page],
    [302, '//id.example.test/bye', page],
    [302, '/bye', script],
    [200, '/bye', script],
  ] as const) {
    await using backend = await signingOut(status, location);
    await using gate = await startGate({ backendPort: backend.port, driver: signedOut });
    const answer = await ask(gate.port, get('/logout', ...kind));
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `));
    assert.match(answer, new RegExp(`\\r\\nLocation: ${location}\\r\\n`));
    assert.doesNotMatch(answer, /Clear-Site-Data/);
    assert.match(answer, /\r\nSet-Cookie: XSRF=; Max-Age=0; Path=\/\r\n/);
    assert.deepEqual(gate.session.ended, ['signed-out']);
  }
});

test('a sign-out that leads to a page which needs the session says that the user has signed out', async () => {
  const ownForm = request('POST', '/logout', ['Cookie: postern=alice', 'Content-Length: 0', ...page]);
  for (const location of ['/login', 'login.php', 'http://mail.example.test/', '']) {
    for (const sent of [get('/logout', ...page), ownForm]) {
      await using backend = await signingOut(302, location);
      await using gate = await startGate({ backendPort: backend.port, driver: signedOut });
      const answer = await ask(gate.port, sent);
      assert.match(
        answer,
        /^HTTP\/1\.1 303 [\s\S]*\r\nLocation: http:\/\/mail\.example\.test\/-\/login\?ended=signed-out\r\n/,
      );
      assert.deepEqual(gate.session.ended, ['signed-out']);
    }
  }
});
