import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Directory, DirectoryOptions } from '../../src/directory/directory.ts';
import type { SourceSettings } from '../../src/directory/registry.ts';
import { eventually, outcomeOf, testDirectory } from './directory.fixture.ts';

/** A source with its peer, as the contract asks for it. */
export interface ContractPeer extends AsyncDisposable {
  readonly settings: SourceSettings;
  /** Further options that the directory must be given. */
  readonly options?: Partial<DirectoryOptions>;
  /** Tells the peer a user's home; the name is full and in lower case. A source for everybody is not told. */
  put?(user: string, home: string): Promise<void>;
  /** Makes the peer unreachable, and reachable again at the same place. */
  readonly outage?: { begin(): Promise<void>; end(): Promise<void> };
}

export interface ContractOptions {
  /** Set if the source has no peer that could be away. */
  readonly hasNoPeer?: true;
  /** Possible answers for a user, if the source knows nobody and has an answer for everybody. */
  readonly everybody?: (user: string) => readonly string[];
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
 * Tests what every source must do, through a directory of this one source.
 *
 * `start` starts the real peer, which knows `alice@example.test` on `a` and `bob@example.test` on `b` and nobody else,
 * unless it answers for everybody.
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

    const homes: Readonly<Record<string, string>> = { 'alice@example.test': 'a', 'bob@example.test': 'b' };
    const assertOutcome = (outcome: string, user: string): void => {
      const home = homes[user];
      const known = home === undefined ? 'unknown' : `${home} ${user}`;
      assert.ok((options.everybody?.(user) ?? [known]).includes(outcome), `${user}: ${outcome}`);
    };

    test('says where users live, and that others are unknown', async () => {
      for (const user of ['alice@example.test', 'bob@example.test', 'nobody@example.test', 'alice@elsewhere.test']) {
        assertOutcome(await outcomeOf(directory, user), user);
        assertOutcome(await outcomeOf(directory, user.toUpperCase()), user);
      }
    });

    test('takes hostile names for plain names', async () => {
      for (const user of metacharacters) assertOutcome(await outcomeOf(directory, user), user);
    });

    test('answers many questions at once, each with its own answer', async () => {
      const names = Array.from({ length: 60 }, (_, number) => ['alice', 'bob', `nobody${number}`][number % 3] ?? '');
      const outcomes = await Promise.all(names.map((name) => outcomeOf(directory, name)));
      for (const [at, name] of names.entries()) assertOutcome(outcomes[at] ?? '', `${name}@example.test`);
    });

    test('gives up when the caller aborts, and answers the next question', async () => {
      const controller = new AbortController();
      const lookup = outcomeOf(directory, 'alice', controller.signal);
      controller.abort(new RangeError('gone'));
      await assert.rejects(lookup, { message: 'gone' });
      await assert.rejects(outcomeOf(directory, 'alice', AbortSignal.abort(new RangeError('gone'))), RangeError);
      assertOutcome(await outcomeOf(directory, 'alice'), 'alice@example.test');
    });

    if (options.everybody === undefined) {
      test('accepts the host of a backend instead of its name', async () => {
        await peer.put?.('carol@example.test', 'mail-b.example.test');
        const expected = 'b carol@example.test';
        assert.equal(await eventually(expected, () => outcomeOf(directory, 'carol')), expected);
      });

      for (const [number, [name, answer]] of hostileAnswers.entries()) {
        if (options.cannotHold?.includes(name)) continue;
        test(`makes a tempfail of ${name}`, async () => {
          // Each answer has a name of its own, so that a late change does not pass for this one.
          await peer.put?.(`mallory${number}@example.test`, answer);
          const outcome = await eventually('ERR_DIRECTORY_ANSWER', () => outcomeOf(directory, `mallory${number}`));
          assert.equal(outcome, 'ERR_DIRECTORY_ANSWER');
        });
      }
    }

    test('refuses unknown settings by name', async () => {
      await assert.rejects(testDirectory([{ ...peer.settings, colour: 'red' }], peer.options), {
        code: 'ERR_CONFIG_INVALID',
        message: /^sources\.0\.colour: is not a valid key here/,
      });
    });

    if (options.hasNoPeer) return;

    test('rejects while its server is away, and answers again afterwards', async () => {
      assert.ok(peer.outage);
      const before = await outcomeOf(directory, 'alice');
      await peer.outage.begin();
      const startedMs = Date.now();
      assert.match(await outcomeOf(directory, 'alice'), /^ERR_(DIRECTORY_UNAVAILABLE|DEADLINE)$/);
      assert.match(await outcomeOf(directory, 'nobody'), /^ERR_(DIRECTORY_UNAVAILABLE|DEADLINE)$/);
      assert.ok(Date.now() - startedMs < 15_000);
      await peer.outage.end();
      assert.equal(await eventually(before, () => outcomeOf(directory, 'alice')), before);
      assertOutcome(before, 'alice@example.test');
    });
  });
}
