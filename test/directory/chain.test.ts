import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { TryAgainLater } from '../../src/core/directory.ts';
import { PosternError } from '../../src/core/error.ts';
import { silentLog } from '../../src/core/log.ts';
import { createLoginNameParser } from '../../src/core/names.ts';
import { createHomes } from '../../src/directory/directory.ts';
import { SourceChain, type Step, type TracedStep } from '../../src/directory/chain.ts';
import { badAnswer, couldNotAsk, type SourceAnswer } from '../../src/directory/source.ts';
import { backendsNamed, loginName, nameRules } from './directory.fixture.ts';

type Scripted = SourceAnswer | Error | 'never';
const unknown: SourceAnswer = { kind: 'unknown-user' };
const away = couldNotAsk('away');

/** A step that answers by the name asked for; `*` for all others. */
function step(answers: Record<string, Scripted>, follows: Partial<Step> = {}): Step {
  return {
    label: 'scripted',
    serves: () => true,
    onFound: 'answer',
    onUnknown: 'next',
    onTempfail: 'fail',
    async ask(name) {
      const answer = answers[name.replace('@example.test', '')] ?? answers['*'] ?? unknown;
      if (answer instanceof Error) throw answer;
      return answer === 'never' ? new Promise(() => {}) : { answer };
    },
    ...follows,
  };
}

function chainOf(steps: readonly Step[]) {
  return new SourceChain({
    steps,
    findHome: createHomes(backendsNamed('a', 'b'), { 'old-name.test': 'b' }),
    parseLoginName: createLoginNameParser(nameRules),
    timeoutMs: 100,
    clock: { nowMs: () => 0 },
    log: silentLog,
  });
}

async function outcome(steps: readonly Step[], typed = 'alice', trace?: (step: TracedStep) => void) {
  try {
    const home = await chainOf(steps).lookup(loginName(typed), new AbortController().signal, trace);
    if (home.kind !== 'found') return home.kind;
    return `${home.backend} ${home.user}${home.role === undefined ? '' : ` (${home.role})`}`;
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    return error.code;
  }
}

const onA: Scripted = { kind: 'found', home: 'a' };
const onB: Scripted = { kind: 'found', home: 'b' };
const byDefault: Scripted = { kind: 'found', home: 'b', byDefault: true };
const refused: Scripted = { kind: 'refused', reason: 'suspended' };

const alias = (user: string): Scripted => ({ kind: 'found', user });

describe('the chain of sources', () => {
  const cases: readonly (readonly [name: string, steps: readonly Step[], expected: string])[] = [
    ['no source knows nobody', [], 'unknown-user'],
    ['the first who knows answers', [step({}), step({ '*': onA }), step({ '*': onB })], 'a alice@example.test'],
    ['nobody knows', [step({}), step({})], 'unknown-user'],
    [
      'a role is said by whoever knows the user, the home by another',
      [step({ '*': { kind: 'found', role: 'lead' } }), step({ '*': { kind: 'found', home: 'a', role: 'none' } })],
      'a alice@example.test (lead)',
    ],
    [
      'a role of an alias is nobody’s',
      [step({ alice: { kind: 'found', user: 'bob', role: 'lead' }, bob: onB })],
      'b bob@example.test',
    ],
    [
      'nor does a role of the typed name go over to the user behind it',
      [step({ '*': { kind: 'found', role: 'lead' } }), step({ '*': { kind: 'found', home: 'a', user: 'bob' } })],
      'a bob@example.test',
    ],
    ['a refusal ends it', [step({ '*': refused }), step({ '*': onA })], 'refused'],
    [
      'unknown ends it where the operator says so',
      [step({}, { onUnknown: 'refuse' }), step({ '*': onA })],
      'unknown-user',
    ],
    ['a source that is away is never "no"', [step({ '*': away }), step({ '*': onA })], 'ERR_DIRECTORY_UNAVAILABLE'],
    [
      'the next one is asked where the operator says so',
      [step({ '*': away }, { onTempfail: 'next' }), step({ '*': onA })],
      'a alice@example.test',
    ],
    [
      'but its "unknown" is not believed',
      [step({ '*': away }, { onTempfail: 'next' }), step({})],
      'ERR_DIRECTORY_UNAVAILABLE',
    ],
    [
      'nor a refusal to ask on',
      [step({ '*': away }, { onTempfail: 'next' }), step({}, { onUnknown: 'refuse' })],
      'ERR_DIRECTORY_UNAVAILABLE',
    ],
    [
      'nor its default',
      [step({ '*': away }, { onTempfail: 'next' }), step({ '*': byDefault })],
      'ERR_DIRECTORY_UNAVAILABLE',
    ],
    ['a default is fine for unknown users', [step({}), step({ '*': byDefault })], 'b alice@example.test'],
    ['a bad answer is never "no"', [step({ '*': badAnswer('odd') }), step({ '*': onA })], 'ERR_DIRECTORY_ANSWER'],
    ['a home that is none is an alarm', [step({ '*': { kind: 'found', home: 'c' } })], 'ERR_DIRECTORY_ANSWER'],
    [
      'a host of a backend is its name',
      [step({ '*': { kind: 'found', home: 'MAIL-B.example.test.' } })],
      'b alice@example.test',
    ],
    [
      'a name of a backend that only the directory uses',
      [step({ '*': { kind: 'found', home: 'old-name.test' } })],
      'b alice@example.test',
    ],
    [
      'an existing user whose home another source knows',
      [step({ '*': { kind: 'found' } }), step({ '*': onB })],
      'b alice@example.test',
    ],
    ['an existing user whose home nobody knows', [step({ '*': { kind: 'found' } }), step({})], 'ERR_DIRECTORY_ANSWER'],
    [
      'found, but the next one says where',
      [step({ '*': onA }, { onFound: 'next' }), step({ '*': onB })],
      'b alice@example.test',
    ],
    ['a home under another name', [step({ '*': { kind: 'found', home: 'a', user: 'Al' } })], 'a al@example.test'],
    ['a source that never answers', [step({ '*': 'never' })], 'ERR_DEADLINE'],
    [
      'a source that does not serve the domain',
      [step({ '*': onA }, { serves: (domain) => domain === 'x.test' }), step({ '*': onB })],
      'b alice@example.test',
    ],
  ];
  for (const [name, steps, expected] of cases) {
    test(name, async () => assert.equal(await outcome(steps), expected));
  }

  test('an alias starts again at the first source', async () => {
    const steps = [step({ bob: onB }), step({ alice: alias('robert'), robert: alias('BOB') })];
    assert.equal(await outcome(steps), 'b bob@example.test');
  });

  test('a source may name the same user and leave the home to a later source', async () => {
    assert.equal(await outcome([step({ '*': alias('alice') }), step({ '*': onA })]), 'a alice@example.test');
  });

  test('an alias loop, or an endless chain of aliases, raises an alarm and is no answer', async () => {
    assert.equal(await outcome([step({ alice: alias('bob'), bob: alias('alice') })]), 'ERR_DIRECTORY_ANSWER');
    const endless = step({});
    const longer = {
      ...endless,
      ask: async (name: string) => ({ answer: { kind: 'found' as const, user: `x${name}` } }),
    };
    assert.equal(await outcome([longer]), 'ERR_DIRECTORY_ANSWER');
  });

  test('an alias to a malformed name raises an alarm and is no answer', async () => {
    for (const user of ['', 'a\r\nb', 'x'.repeat(300), 'a@b@c']) {
      assert.equal(await outcome([step({ '*': alias(user) })]), 'ERR_DIRECTORY_ANSWER', user);
    }
  });

  test('a reason for a refusal becomes one short line', async () => {
    const chain = chainOf([step({ '*': { kind: 'refused', reason: `un\r\npaid\0${'!'.repeat(1000)}` } })]);
    const home = await chain.lookup(loginName('alice'), new AbortController().signal);
    assert.deepEqual(home, { kind: 'refused', reason: `un paid ${'!'.repeat(292)}` });
  });

  test('each question is traced, also skipped sources and failures', async () => {
    const traced: string[] = [];
    const steps = [
      step({ '*': onA }, { serves: () => false }),
      step({ '*': away }, { onTempfail: 'next' }),
      step({ '*': onB }),
    ];
    await outcome(steps, 'alice', ({ asked, outcome: { kind } }) => traced.push(`${asked} ${kind}`));
    assert.deepEqual(traced, ['alice@example.test skipped', 'alice@example.test tempfail', 'alice@example.test found']);
  });

  test('whatever a source says, the answer is a configured backend or none', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary' }), fc.option(fc.string({ unit: 'binary' })), async (home, user) => {
        const answer: Scripted = user === null ? { kind: 'found', home } : { kind: 'found', home, user };
        const said = await outcome([step({ '*': answer })]);
        if (said !== 'ERR_DIRECTORY_ANSWER') assert.match(said, /^[ab] [^\s@]+@[a-z0-9._-]+$/);
      }),
    );
  });

  test('a caller with a timeout gets the same error as one who waits for the deadline', async () => {
    const hanging = [step({ '*': 'never' })];
    const ask = (signal: AbortSignal) => chainOf(hanging).lookup(loginName('alice'), signal);
    for (const signal of [AbortSignal.timeout(1), AbortSignal.abort(new DOMException('late', 'TimeoutError'))])
      await assert.rejects(ask(signal), { code: 'ERR_DEADLINE' });
    await assert.rejects(ask(AbortSignal.abort(new RangeError('gone'))), RangeError);
  });

  test('a bug in a driver is not taken for an answer and not hidden', async () => {
    await assert.rejects(outcome([step({ '*': new TypeError('bug') })]), TypeError);
  });
});

test('a host that two backends share means neither of them', () => {
  const backends = new Map(
    [...backendsNamed('a', 'b')].map(([name, backend]) => {
      const hosts = [{ ...backend.hosts[0], imap: { ...backend.hosts[0].imap, hostname: 'shared.test' } }] as const;
      return [name, { ...backend, hosts }];
    }),
  );
  const findHome = createHomes(backends);
  assert.equal(findHome('shared.test'), undefined);
  assert.equal(findHome('a'), 'a');
  assert.equal(findHome('__proto__'), undefined);
  assert.throws(
    () => createHomes(backends, { 'x.test': 'c' }),
    /directory\.hosts: x\.test → c: there is no such backend/,
  );
});

const at = (backend: string, user = 'alice@example.test') => ({ backend, user });
const refusedAt = (home: string, user?: string): Scripted =>
  user === undefined
    ? { kind: 'refused', reason: 'suspended', home }
    : { kind: 'refused', reason: 'suspended', home, user };

describe('where the password of a refused user can be checked', () => {
  const cases: readonly (readonly [what: string, steps: readonly Step[], expected: object | undefined])[] = [
    ['the source itself says it', [step({ '*': refusedAt('a') })], at('a')],
    ['under another name', [step({ '*': refusedAt('a', 'al@example.test') })], at('a', 'al@example.test')],
    ['by the name of a host', [step({ '*': refusedAt('old-name.test') })], at('b')],
    ['a home that is none bars all the same', [step({ '*': refusedAt('elsewhere.test') })], undefined],
    ['a malformed user name refuses all the same', [step({ '*': refusedAt('a', 'al\0') })], undefined],
    ['a later source says it', [step({ '*': refused }), step({ '*': onA })], at('a')],
    ['a computed one too', [step({ '*': refused }, { onFound: 'next' }), step({ '*': byDefault })], at('b')],
    ['of a later source that refuses too, the first counts', [step({ '*': refused }), step({ '*': onB })], at('b')],
    ['an alias behind it is not followed', [step({ '*': refused }), step({ '*': alias('bob') })], undefined],
    ['nobody says it', [step({ '*': refused }), step({})], undefined],
  ];
  for (const [what, steps, expected] of cases) {
    test(what, async () => {
      const home = await chainOf(steps).lookup(loginName('alice'), new AbortController().signal);
      assert.deepEqual(home, { kind: 'refused', reason: 'suspended', ...(expected && { at: expected }) });
    });
  }

  test('without a home, because a later source could not be asked, the answer is "later"', async () => {
    assert.equal(await outcome([step({ '*': refused }), step({ '*': away })]), 'ERR_DIRECTORY_UNAVAILABLE');
  });

  for (const [what, answer, expected] of [
    ['a home', { kind: 'later', home: 'a' }, at('a')],
    ['none', { kind: 'later' }, undefined],
  ] as const) {
    test(`"later" with ${what} is said by an error that knows it`, async () => {
      const asked = chainOf([step({ '*': answer })]).lookup(loginName('alice'), new AbortController().signal);
      await assert.rejects(asked, (error) => {
        assert.ok(error instanceof TryAgainLater);
        assert.equal(error.code, 'ERR_DIRECTORY_UNAVAILABLE');
        assert.deepEqual(error.at, expected);
        return true;
      });
    });
  }
});
