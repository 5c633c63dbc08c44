import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Backend } from '../../src/core/backend.ts';
import type { DeliveryMap, HomeLookup } from '../../src/core/directory.ts';
import { createLoginNameParser, type LoginNameRules } from '../../src/core/names.ts';
import type { Closure, ClosureKind, Place } from '../../src/core/placement.ts';
import { createDelivery } from '../../src/directory-service/delivery.ts';
import { backendOf, hostNamed, userName } from '../backends/samples.fixture.ts';

const ports = { imap: 143, pop3: 110, smtp: 25, submission: 587, lmtp: 24, sieve: 4190 };

/** Delivery over a directory of a few users; `closure` is that of every backend. */
function scene(
  more: {
    closure?: ClosureKind;
    delimiter?: string;
    rules?: LoginNameRules;
    domains?: readonly string[];
    host?: string;
    backend?: Partial<Backend>;
  } = {},
) {
  const asked: string[] = [];
  const named = backendOf('a', 1);
  const host = { ...hostNamed('a'), imap: { ...hostNamed('a').imap, hostname: more.host ?? 'mx1.test' } };
  const backend: Backend = { ...named, hosts: [host], ...more.backend };
  const at = (user: string) => ({ user: userName(user), backend: backend.name });
  const homes: Readonly<Record<string, HomeLookup>> = {
    'alice@example.test': { kind: 'found', ...at('alice@example.test') },
    'robert@example.test': { kind: 'found', ...at('bob@example.test') },
    'locked@example.test': { kind: 'refused', reason: 'call', at: at('locked@example.test') },
    'gone@example.test': { kind: 'refused', reason: 'call' },
  };
  const closure = (kind: ClosureKind): Closure => ({ kind, backend: backend.name, sinceMs: 0, texts: {} });
  const nameRules = more.rules ?? { defaultDomain: 'example.test' };
  const ask = createDelivery({
    parseName: createLoginNameParser(nameRules),
    directory: {
      async lookup(name) {
        asked.push(name);
        return homes[name] ?? { kind: 'unknown-user' };
      },
    },
    backends: new Map([[backend.name, backend]]),
    placement: {
      forSignIn: (): Exclude<Place, { kind: 'elsewhere' }> =>
        more.closure === undefined ? { kind: 'here', host } : { kind: 'closed', closure: closure(more.closure) },
      activeHost: () => host,
    },
    nameRules,
    service: {
      ports,
      recipientDelimiter: more.delimiter ?? '',
      ...(more.domains === undefined ? {} : { deliveryDomains: more.domains }),
    },
  });
  const never = new AbortController().signal;
  return {
    asked,
    of: async (map: DeliveryMap, key: string): Promise<string> => {
      const answer = await ask(map, key, never);
      return answer.kind === 'found' ? answer.value : answer.kind;
    },
  };
}

const home = 'lmtp:inet:[mx1.test]:24';

describe('the home of an address', () => {
  it('is the LMTP server of the user’s backend, in brackets, with the backend’s own port', async () => {
    assert.equal(await scene().of('homes', 'alice@example.test'), home);
    assert.equal(await scene().of('homes', 'Alice@Example.TEST'), home);
    const elsewhere = scene({ host: '2001:db8::7', backend: { mailPorts: { lmtp: 2024 } } });
    assert.equal(await elsewhere.of('homes', 'alice@example.test'), 'lmtp:inet:[2001:db8::7]:2024');
  });

  it('is not one of a bare domain, of a bare name, of a wildcard, or of an address elsewhere, for which no source is asked', async () => {
    const { of, asked } = scene();
    const keys = [
      'example.test',
      '.example.test',
      '.test',
      '*',
      'alice',
      '@example.test',
      'alice@',
      'alice@elsewhere.test',
      '',
    ];
    for (const key of [...keys, `${'a'.repeat(600)}@example.test`, 'al\0ice@example.test', 'a b@example.test']) {
      assert.equal(await of('homes', key), 'foreign', key);
    }
    assert.deepEqual(asked, []);
    assert.equal(await of('homes', 'zoe@example.test'), 'unknown-user');
  });

  it('is that of the address without its detail, if Postfix has a delimiter', async () => {
    assert.equal(await scene({ delimiter: '+-' }).of('homes', 'alice-x+lists@example.test'), home);
    assert.equal(await scene().of('homes', 'alice+lists@example.test'), 'unknown-user');
    assert.equal(await scene({ delimiter: '+' }).of('homes', '+alice@example.test'), 'unknown-user');
  });

  it('waits during a move and in maintenance, but not while a webmail is down or drained', async () => {
    const answers: string[] = [];
    for (const closure of ['moving', 'maintenance', 'drain', 'down'] as const) {
      answers.push(await scene({ closure }).of('homes', 'alice@example.test'));
    }
    assert.deepEqual(answers, ['closed', 'closed', home, home]);
  });

  it('is still that of a user who may not sign in; without a known home the mail waits', async () => {
    assert.equal(await scene().of('homes', 'locked@example.test'), home);
    assert.equal(await scene({ closure: 'moving' }).of('homes', 'locked@example.test'), 'closed');
    assert.equal(await scene().of('homes', 'gone@example.test'), 'refused');
  });

  it('covers the aliases of a domain, and the domains that are written alone', async () => {
    const rules = { domainAliases: { 'other.test': 'example.test' } };
    assert.equal(await scene({ rules }).of('homes', 'alice@other.test'), home);
    assert.equal(await scene({ domains: ['one.test'] }).of('homes', 'alice@example.test'), 'foreign');
  });
});

describe('who gets mail at all', () => {
  it('is whom the directory knows, in maintenance too', async () => {
    const { of } = scene({ closure: 'maintenance' });
    assert.equal(await of('users', 'alice@example.test'), 'alice@example.test');
    assert.equal(await of('users', 'locked@example.test'), 'locked@example.test');
    assert.equal(await of('users', 'zoe@example.test'), 'unknown-user');
    assert.equal(await of('users', '@example.test'), 'foreign');
    assert.equal(await of('users', 'gone@example.test'), 'refused');
  });
});

describe('the user that an address means', () => {
  it('is said of aliases alone, and never with a detail, which Postfix adds itself', async () => {
    const { of } = scene({ delimiter: '+', closure: 'moving' });
    assert.equal(await of('aliases', 'robert@example.test'), 'bob@example.test');
    assert.equal(await of('aliases', 'alice@example.test'), 'unknown-user');
    assert.equal(await of('aliases', 'robert+lists@example.test'), 'foreign');
    assert.equal(await of('aliases', 'example.test'), 'foreign');
  });
});
