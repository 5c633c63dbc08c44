import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Directory, DirectoryOptions } from '../../src/directory/directory.ts';
import type { SourceSettings } from '../../src/directory/configured-source.ts';
import { eventually, outcomeOf, testDirectory } from './fixture.ts';

/** A source with its peer, as the contract asks for it. */
export interface ContractPeer extends AsyncDisposable {
  readonly settings: SourceSettings;
  /** What the directory must be given besides. */
  readonly options?: Partial<DirectoryOptions>;
  /** Lets the peer say where a user lives: the name is full and in lower case. */
  put(user: string, home: string): Promise<void>;
  /** Makes the peer unreachable, and reachable again at the same place. */
  readonly outage?: { begin(): Promise<void>; end(): Promise<void> };
}

export interface ContractOptions {
  /** A source without a peer that could be away. */
  readonly hasNoPeer?: true;
  /** Hostile answers, by their names below, that this kind of peer cannot even hold. */
  readonly cannotHold?: readonly string[];
}

/** Names that mean something to some query language; none of them is a user. */
const metacharacters = [
  "o'brien",
  "' or '1'='1",
  '%u',
  '%',
  '_lice',
  '*',
  'al*',
  'alice)(uid=*',
  '\\2a',
  '\\',
  '"',
  '$1',
  '${user}',
  '{alice}',
  '../alice',
  'alice/../bob',
  'a?b#c&d=e',
  'alice;drop',
  'alice,dc=example',
  'jörg',
  '用户',
  '😀',
  '__proto__',
  'constructor',
  '-alice',
  '!alice',
  '10:alice',
  'x'.repeat(200),
].map((local) => `${local.replaceAll(' ', '')}@example.test`);

const hostileAnswers: readonly (readonly [name: string, answer: string])[] = [
  ['an unknown backend', 'nowhere'],
  ['a URL', 'evil:80/path@'],
  ['a URL with a scheme', 'http://evil.test/'],
  ['another line', 'a\r\nb'],
  ['a leading line', '\nb'],
  ['an address of its own', '192.0.2.1'],
  ['a path', '../a'],
  ['a name of an object', '__proto__'],
  ['an empty port', 'a:'],
  ['two homes', 'a b'],
  ['300 KB', 'a'.repeat(300_000)],
];

/**
 * What every source that looks users up must do, asked through a directory of this one source.
 *
 * `start` starts the real peer, which knows `alice@example.test` on `a` and `bob@example.test` on `b` and nobody else.
 */
export function sourceContract(title: string, start: () => Promise<ContractPeer>, options: ContractOptions = {}): void {
  describe(`${title}, as a source of the directory`, () => {
    let peer: ContractPeer;
    let directory: Directory;
    before(async () => {
      peer = await start();
      directory = await testDirectory([peer.settings], peer.options);
    });
    after(async () => {
      await directory?.[Symbol.asyncDispose]();
      await peer?.[Symbol.asyncDispose]();
    });

    test('says where users live', async () => {
      assert.equal(await outcomeOf(directory, 'alice'), 'a alice@example.test');
      assert.equal(await outcomeOf(directory, 'BOB@example.test'), 'b bob@example.test');
    });

    test('does not know who is not there', async () => {
      assert.equal(await outcomeOf(directory, 'nobody'), 'unknown');
      assert.equal(await outcomeOf(directory, 'alice@elsewhere.test'), 'unknown');
    });

    test('takes every name as a name, whatever it means elsewhere', async () => {
      for (const name of metacharacters) assert.equal(await outcomeOf(directory, name), 'unknown', name);
    });

    test('answers many at once, each its own', async () => {
      const names = Array.from({ length: 60 }, (_, number) => ['alice', 'bob', `nobody${number}`][number % 3] ?? '');
      const expected: Record<string, string> = { alice: 'a alice@example.test', bob: 'b bob@example.test' };
      const outcomes = await Promise.all(names.map((name) => outcomeOf(directory, name)));
      assert.deepEqual(
        outcomes,
        names.map((name) => expected[name] ?? 'unknown'),
      );
    });

    test('gives up when nobody waits any more, and answers the next', async () => {
      const controller = new AbortController();
      const lookup = outcomeOf(directory, 'alice', controller.signal);
      controller.abort(new RangeError('gone'));
      await assert.rejects(lookup, { message: 'gone' });
      await assert.rejects(outcomeOf(directory, 'alice', AbortSignal.abort(new RangeError('gone'))), RangeError);
      assert.equal(await outcomeOf(directory, 'alice'), 'a alice@example.test');
    });

    test('accepts the host of a backend for its name', async () => {
      await peer.put('carol@example.test', 'mail-b.example.test');
      assert.equal(
        await eventually('b carol@example.test', () => outcomeOf(directory, 'carol')),
        'b carol@example.test',
      );
    });

    for (const [number, [name, answer]] of hostileAnswers.entries()) {
      if (options.cannotHold?.includes(name)) continue;
      test(`makes a tempfail of ${name}`, async () => {
        // A name of its own: a late change must not pass for this one.
        await peer.put(`mallory${number}@example.test`, answer);
        const outcome = await eventually('ERR_DIRECTORY_ANSWER', () => outcomeOf(directory, `mallory${number}`));
        assert.equal(outcome, 'ERR_DIRECTORY_ANSWER');
      });
    }

    test('refuses settings that it does not know, by name', async () => {
      await assert.rejects(testDirectory([{ ...peer.settings, colour: 'red' }], peer.options), {
        code: 'ERR_CONFIG_INVALID',
        message: /^sources\.0\.colour: unknown key/,
      });
    });

    if (options.hasNoPeer) return;

    test('says that it could not ask while its peer is away, and answers again afterwards', async () => {
      assert.ok(peer.outage);
      await peer.outage.begin();
      const startedMs = Date.now();
      assert.match(await outcomeOf(directory, 'alice'), /^ERR_(DIRECTORY_UNAVAILABLE|DEADLINE)$/);
      assert.match(await outcomeOf(directory, 'nobody'), /^ERR_(DIRECTORY_UNAVAILABLE|DEADLINE)$/);
      assert.ok(Date.now() - startedMs < 15_000);
      await peer.outage.end();
      assert.equal(
        await eventually('a alice@example.test', () => outcomeOf(directory, 'alice')),
        'a alice@example.test',
      );
    });
  });
}
