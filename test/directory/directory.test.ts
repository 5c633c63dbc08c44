import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { checkSource } from '../../src/directory/registry.ts';
import { canonicalUser, loginName, outcomeOf, temporaryDirectory, testDirectory } from './directory.fixture.ts';
import { startServer } from './peers/line-server.fixture.ts';

describe('the directory', () => {
  test('asks its sources in order, each for its domains', async () => {
    await using folder = await temporaryDirectory();
    const file = join(folder.path, 'users.map');
    await writeFile(file, 'alice: a\n');
    await using directory = await testDirectory([
      { type: 'map', file, domains: ['example.test', '*.example.org'] },
      { type: 'static', backend: 'b', domains: 'other.test' },
    ]);
    assert.equal(await outcomeOf(directory, 'alice'), 'a alice@example.test');
    assert.equal(await outcomeOf(directory, 'bob'), 'unknown');
    assert.equal(await outcomeOf(directory, 'bob@other.test'), 'b bob@other.test');
    assert.equal(await outcomeOf(directory, 'alice@sub.example.org'), 'unknown');
    assert.equal(await outcomeOf(directory, 'alice@example.org'), 'unknown');
  });

  test('explains a lookup step by step', async () => {
    await using folder = await temporaryDirectory();
    const file = join(folder.path, 'users.map');
    await writeFile(file, 'bob: b\n');
    await using directory = await testDirectory([
      { type: 'map', file },
      { type: 'static', backend: 'a' },
    ]);
    const { steps, outcome } = await directory.explain(loginName('alice'), AbortSignal.timeout(5000));
    assert.deepEqual(
      steps.map(({ source, asked, outcome }) => [source, asked, outcome]),
      [
        ['1 map', 'alice@example.test', { kind: 'unknown-user' }],
        ['2 static', 'alice@example.test', { kind: 'found', home: 'a', byDefault: true }],
      ],
    );
    assert.deepEqual(outcome, { kind: 'found', backend: 'a', user: 'alice@example.test' });
  });

  test('explains what failed', async () => {
    await using directory = await testDirectory([{ type: 'tcp_table', server: '127.0.0.1:9' }]);
    const { steps, outcome } = await directory.explain(loginName('alice'), AbortSignal.timeout(5000));
    const why = '127.0.0.1:9 cannot be reached: connect ECONNREFUSED 127.0.0.1:9';
    assert.deepEqual(outcome, { kind: 'tempfail', why });
    assert.deepEqual(steps[0]?.outcome, { kind: 'tempfail', why });
  });

  test('remembers what a server answered until the user is dropped, and counts', async () => {
    let home = 'a';
    await using server = await startServer((socket) => void socket.on('data', () => socket.write(`200 ${home}\n`)));
    const source = { type: 'tcp_table', server: `127.0.0.1:${server.port}` };
    await using directory = await testDirectory([source], { cache: {} });
    assert.equal(await outcomeOf(directory, 'alice'), 'a alice@example.test');
    home = 'b';
    assert.equal(await outcomeOf(directory, 'alice'), 'a alice@example.test');
    assert.equal(await outcomeOf(directory, 'bob'), 'b bob@example.test');
    directory.drop(canonicalUser('alice@example.test'));
    assert.equal(await outcomeOf(directory, 'alice'), 'b alice@example.test');
    await server.stop();
    assert.equal(await outcomeOf(directory, 'bob'), 'b bob@example.test');
    assert.deepEqual([...directory.counts()], [['1 tcp_table', { hits: 2, misses: 3, stale: 0 }]]);
  });

  test('asks past the cache for fresh answers, and remembers them', async () => {
    let home = 'a';
    await using server = await startServer((socket) => void socket.on('data', () => socket.write(`200 ${home}\n`)));
    const source = { type: 'tcp_table', server: `127.0.0.1:${server.port}` };
    await using directory = await testDirectory([source], { cache: {} });
    const fresh = async () => directory.lookupFresh(loginName('alice'), AbortSignal.timeout(20_000));
    assert.equal(await outcomeOf(directory, 'alice'), 'a alice@example.test');
    home = 'b';
    assert.deepEqual(await fresh(), { kind: 'found', backend: 'b', user: 'alice@example.test' });
    assert.equal(await outcomeOf(directory, 'alice'), 'b alice@example.test');
    await server.stop();
    await assert.rejects(fresh(), { code: 'ERR_DIRECTORY_UNAVAILABLE' });
    assert.equal(await outcomeOf(directory, 'alice'), 'b alice@example.test');
  });

  test('reports all problems of a source at once, each with its path', async () => {
    const problems = await checkSource({
      type: 'map',
      answers: 'maybe',
      timeout: '2 fortnights',
      on_found: 'stop',
      domains: ['a b'],
      colour: 'red',
    });
    assert.deepEqual(
      problems.map(({ path, message }) => `${path.join('.')}: ${message}`),
      [
        'domains.0: "a b" is not a domain: write example.org or "*.example.org"',
        'timeout: "2 fortnights" is not a duration of at most 24 days: write a number and a unit, such as 500ms, 3s, 10 min or 12h',
        'on_found: "stop" is not known here: write answer or next',
        'file: is missing: write a file name, relative to this file',
        'answers: "maybe" is not a meaning of values: write backend, perdition, transport or user',
        'colour: is not a valid key here: use type, domains, timeout, on_found, on_unknown, on_tempfail, file, answers, parent_domain_matches_subdomains or catch_all',
      ],
    );
    assert.match(
      (await checkSource({ type: 'nis' }))[0]?.message ?? '',
      /^"nis" is not a type of source: write .*map, .*static/,
    );
    assert.deepEqual(await checkSource({ type: 'static', backend: 'a' }), []);
  });

  test('does not open with a static source whose backend does not exist', async () => {
    await assert.rejects(testDirectory([{ type: 'static', backend: 'c' }]), {
      code: 'ERR_CONFIG_INVALID',
      message: 'directory source 1 static: there is no backend c',
    });
  });
});
