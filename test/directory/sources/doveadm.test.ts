import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { checkSource } from '../../../src/directory/registry.ts';
import { eventually, outcomeOf, testDirectory } from '../directory.fixture.ts';
import { type Director, startDirector } from '../peers/director.fixture.ts';
import { startServer } from '../peers/line-server.fixture.ts';
import { sourceContract } from '../source-contract.fixture.ts';

const hosts = { '127.0.0.101': 'a', '127.0.0.102': 'b' };

sourceContract(
  'doveadm',
  async () => {
    const director = await startDirector(Object.keys(hosts));
    return {
      settings: { type: 'doveadm', url: director.url, api_key: director.apiKey },
      options: { hosts },
      outage: { begin: () => director.stop(), end: () => director.start() },
      [Symbol.asyncDispose]: () => director[Symbol.asyncDispose](),
    };
  },
  { everybody: (user) => [`a ${user}`, `b ${user}`] },
);

describe("a Dovecot director's answer", () => {
  let peer: Director;
  before(async () => {
    peer = await startDirector(Object.keys(hosts));
  });
  after(() => peer[Symbol.asyncDispose]());
  const directoryOf = (settings: object = {}) =>
    testDirectory([{ type: 'doveadm', url: peer.url, api_key: peer.apiKey, ...settings }], { hosts });

  test('is where its hash puts the user', async () => {
    await using directory = await directoryOf();
    const seen = new Set<string>();
    for (let number = 0; number < 20; number += 1) {
      const user = `user${number}@example.test`;
      const [, address = ''] = /Hashed: (\S+)/.exec(await peer.director('status', user)) ?? [];
      const home = Object.entries(hosts).find(([host]) => host === address)?.[1];
      assert.equal(await outcomeOf(directory, user), `${home} ${user}`);
      seen.add(String(home));
    }
    assert.deepEqual([...seen].sort(), ['a', 'b']);
  });

  test('is where doveadm moved the user', async () => {
    await using directory = await directoryOf();
    const hashed = await outcomeOf(directory, 'alice');
    const [host = '', home] = Object.entries(hosts).find(([, home]) => !hashed.startsWith(home)) ?? [];
    await peer.director('move', 'alice@example.test', host);
    const expected = `${home} alice@example.test`;
    assert.equal(await eventually(expected, () => outcomeOf(directory, 'alice')), expected);
  });

  test('is a tempfail with a wrong key, and from a host that is no backend', async () => {
    await using stranger = await directoryOf({ api_key: 'wrong' });
    assert.equal(await outcomeOf(stranger, 'alice'), 'ERR_DIRECTORY_UNAVAILABLE');
    await using unmapped = await testDirectory([{ type: 'doveadm', url: peer.url, api_key: peer.apiKey }]);
    assert.equal(await outcomeOf(unmapped, 'alice'), 'ERR_DIRECTORY_ANSWER');
  });
});

describe('what doveadm may answer', () => {
  const cases: readonly (readonly [body: string, outcome: string])[] = [
    ['[["doveadmResponse",[{"status":"n/a","hashed":"127.0.0.101"}],"postern"]]', 'a alice@example.test'],
    ['[["doveadmResponse",[{"status":"127.0.0.102","hashed":"127.0.0.101"}],"postern"]]', 'b alice@example.test'],
    ['[["doveadmResponse",[{"status":"n/a","hashed":"n/a"}],"postern"]]', 'ERR_DIRECTORY_UNAVAILABLE'],
    ['[["error",{"type":"exitCode","exitCode":75},"postern"]]', 'ERR_DIRECTORY_UNAVAILABLE'],
    ['[["doveadmResponse",[{"hashed":"evil:80/path@"}],"postern"]]', 'ERR_DIRECTORY_ANSWER'],
    ['[["doveadmResponse",[],"postern"]]', 'ERR_DIRECTORY_ANSWER'],
    ['[["doveadmResponse",[{},{}],"postern"]]', 'ERR_DIRECTORY_ANSWER'],
    ['[["doveadmResponse",{"hashed":"a"},"postern"]]', 'ERR_DIRECTORY_ANSWER'],
    ['[]', 'ERR_DIRECTORY_ANSWER'],
    ['[1]', 'ERR_DIRECTORY_ANSWER'],
    ['{}', 'ERR_DIRECTORY_ANSWER'],
    ['<html>', 'ERR_DIRECTORY_ANSWER'],
  ];
  for (const [body, outcome] of cases) {
    test(`${body} is ${outcome}`, async () => {
      const answer = `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
      await using server = await startServer((socket) => void socket.once('data', () => socket.end(answer)));
      const url = `http://127.0.0.1:${server.port}/doveadm/v1`;
      await using directory = await testDirectory([{ type: 'doveadm', url, api_key: 'k' }], { hosts });
      assert.equal(await outcomeOf(directory, 'alice'), outcome);
    });
  }
});

test('the settings of a director are checked', async () => {
  const problems = await checkSource({ type: 'doveadm', url: 'http://director:8080/' });
  assert.deepEqual(
    problems.map(({ path, message }) => `${path.join('.')}: ${message}`),
    [
      'url: "http://director:8080/" is not a URL of doveadm: write http://director:8080/doveadm/v1, or https://…',
      'api_key: is missing: write { file: NAME }, with doveadm_api_key of the director',
    ],
  );
});
