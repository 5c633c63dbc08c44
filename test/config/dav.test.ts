import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { load, problemsOf } from './config.fixture.ts';

function written(backends: string, defaults = ''): string {
  return `public_url: http://127.0.0.1:8080
directory: { sources: [{ type: static, backend: a }] }
${defaults}
backends:
  a: { imap: imaps://mx1.test, webmail: "https://mx1.test:8443/x/", ${backends} }
`;
}

async function pathsOf(t: TestContext, backends: string, defaults = '') {
  const config = await load(t, { 'postern.yaml': written(backends, defaults) }, { checksDrivers: true });
  return [...config.backends.values()].map(({ basicPaths }) => basicPaths);
}

test('a driver brings its own paths, and most have none', async (t) => {
  const [sogo] = await pathsOf(t, 'driver: sogo');
  assert.deepEqual(sogo, [
    { prefix: '/SOGo/dav' },
    { prefix: '/Microsoft-Server-ActiveSync' },
    { prefix: '/.well-known/caldav' },
    { prefix: '/.well-known/carddav' },
  ]);
  assert.deepEqual(await pathsOf(t, 'driver: roundcube'), [[]]);
});

test('what is written takes the place of what the driver brings, an empty list too', async (t) => {
  assert.deepEqual(await pathsOf(t, 'driver: sogo, dav: [/dav/, /autodiscover]'), [
    [{ prefix: '/dav' }, { prefix: '/autodiscover' }],
  ]);
  assert.deepEqual(await pathsOf(t, 'driver: sogo, dav: []'), [[]]);
  assert.deepEqual(await pathsOf(t, 'driver: sogo, dav: []', 'backend_defaults: { dav: [/dav] }'), [[]]);
  assert.deepEqual(await pathsOf(t, 'driver: roundcube', 'backend_defaults: { dav: [/dav] }'), [[{ prefix: '/dav' }]]);
});

test('another server is named for each host of the backend', async (t) => {
  const map = 'dav: { /dav: webmail, /Microsoft-Server-ActiveSync: "http://$host:8081", /jmap: "https://jmap.test" }';
  const standby = 'standby: [{ imap: imaps://mx2.test, webmail: http://mx2.test/ }]';
  assert.deepEqual(await pathsOf(t, `driver: none, ${standby}, ${map}`), [
    [
      { prefix: '/dav' },
      {
        prefix: '/Microsoft-Server-ActiveSync',
        elsewhere: { a: 'http://mx1.test:8081', 'a/2': 'http://mx2.test:8081' },
      },
      { prefix: '/jmap', elsewhere: { a: 'https://jmap.test', 'a/2': 'https://jmap.test' } },
    ],
  ]);
});

const remedy = 'write a path such as /SOGo/dav, which covers itself and everything below it';
const serverRemedy = 'write webmail, or scheme and host of another server, such as http://$host:8081';
const wrong: readonly [dav: string, message: string][] = [
  ['dav: [dav]', `"dav" is not a valid path: ${remedy}`],
  ['dav: [/]', `"/" is not a valid path: ${remedy}`],
  ['dav: [/dav/../x]', `"/dav/../x" is not a valid path: ${remedy}`],
  ['dav: ["/dav?x"]', `"/dav?x" is not a valid path: ${remedy}`],
  ['dav: [/d%61v]', `"/d%61v" is not a valid path: ${remedy}`],
  ['dav: [/-/login]', `"/-/login" is under /-/, which belongs to the gateway: ${remedy}`],
  ['dav: { dav: webmail }', `"dav" is not a valid path: ${remedy}`],
  ['dav: { /dav: "http://$host/x" }', `"http://$host/x" has a path, but requests keep their own: ${serverRemedy}`],
  ['dav: { /dav: mx1 }', `"mx1" is not a server: ${serverRemedy}`],
];

for (const [dav, message] of wrong) {
  test(`${dav} is told to be wrong, and what to write instead`, async (t) => {
    const [line, ...others] = await problemsOf(t, { 'postern.yaml': written(`driver: none, ${dav}`) });
    assert.deepEqual(others, []);
    assert.ok(line?.endsWith(`: ${message}`), line);
  });
}
