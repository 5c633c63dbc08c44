import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { CookieJar, pathOf } from '../../src/core/cookie-jar.ts';

const nowMs = Date.UTC(2026, 0, 1);
const ownsNothing = (): boolean => false;

function jarOf(...lines: readonly string[]): CookieJar {
  const jar = new CookieJar((name) => name === 'own');
  for (const line of lines) jar.absorb(line, '/', nowMs);
  return jar;
}

describe('what becomes of a Set-Cookie line', () => {
  const cases: readonly (readonly [line: string, kind: string])[] = [
    ['sid=1; HttpOnly', 'kept'],
    ['sid=1; hTTPoNLY; Secure; SameSite=None', 'kept'],
    ['own=1', 'kept'],
    ['colorMode=dark', 'browser'],
    ['empty=', 'browser'],
    ['sid="quoted"; HttpOnly', 'kept'],
    ['sid=a=b=c; HttpOnly', 'kept'],
    ['', 'ignored'],
    ['no-pair', 'ignored'],
    ['=nameless; HttpOnly', 'ignored'],
    ['two words=1', 'ignored'],
    ['sid=a\rb; HttpOnly', 'ignored'],
    ['sid=1; HttpOnly; Path=/\nX: y', 'ignored'],
    ['sid\0=1; HttpOnly', 'ignored'],
    [`sid=${'x'.repeat(40_000)}; HttpOnly`, 'ignored'],
  ];
  for (const [line, kind] of cases) {
    test(`${JSON.stringify(line.slice(0, 50))} is ${kind}`, () => {
      assert.equal(jarOf().absorb(line, '/', nowMs).kind, kind);
    });
  }

  test('a line for the browser loses its domain and keeps the rest', () => {
    assert.deepEqual(jarOf().absorb('colorMode=dark; Path=/mail; DOMAIN=backend.test; Secure', '/', nowMs), {
      kind: 'browser',
      line: 'colorMode=dark; Path=/mail; Secure',
    });
  });

  test('a name that was once HttpOnly stays in the gateway, also when it is deleted without the flag', () => {
    const jar = jarOf('sid=1; HttpOnly', 'sid=2; Path=/');
    assert.equal(jar.header('/', nowMs), 'sid=2');
    assert.equal(jar.absorb('sid=gone; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT', '/', nowMs).kind, 'kept');
    assert.equal(jar.header('/', nowMs), '');
    assert.equal(jar.keeps('sid'), true);
    assert.equal(jar.absorb('sid=3', '/', nowMs).kind, 'kept');
  });

  test('the names that the browser was given are remembered with their paths', () => {
    const jar = jarOf('XSRF-TOKEN=1; path=/SOGo/', 'colorMode=dark; path=/');
    assert.deepEqual(
      [...jar.browserCookies],
      [
        ['XSRF-TOKEN', '/SOGo/'],
        ['colorMode', '/'],
      ],
    );
  });
});

describe('the Cookie field for a target', () => {
  const jar = jarOf('own=root; Path=/', 'a=mail; Path=/mail; HttpOnly', 'b=deep; Path=/mail/x/; HttpOnly');
  const cases: readonly (readonly [target: string, field: string])[] = [
    ['/', 'own=root'],
    ['/mail', 'a=mail; own=root'],
    ['/mail?_task=/mail/x/', 'a=mail; own=root'],
    ['/mail/', 'a=mail; own=root'],
    ['/mailbox', 'own=root'],
    ['/mail/x', 'a=mail; own=root'],
    ['/mail/x/y', 'b=deep; a=mail; own=root'],
  ];
  for (const [target, field] of cases) {
    test(`${target} → ${field}`, () => assert.equal(jar.header(target, nowMs), field));
  }

  test('a line without a path is for the directory of its request', () => {
    const jar = new CookieJar(ownsNothing);
    jar.absorb('sid=1; HttpOnly', '/horde/login.php?x=/y', nowMs);
    assert.equal(jar.header('/horde/imp', nowMs), 'sid=1');
    assert.equal(jar.header('/', nowMs), '');
  });

  test('Max-Age wins over Expires, and a cookie ends at its moment', () => {
    const jar = jarOf('sid=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly');
    assert.equal(jar.header('/', nowMs + 59_999), 'sid=1');
    assert.equal(jar.header('/', nowMs + 60_000), '');
    assert.equal(jarOf('sid=1; HttpOnly', 'sid=1; Max-Age=0').header('/', nowMs), '');
    assert.equal(jarOf('sid=1; HttpOnly', 'sid=1; Max-Age=-1').header('/', nowMs), '');
  });
});

describe('a jar', () => {
  test('tells a change from a repetition', () => {
    const jar = jarOf('sid=1; HttpOnly');
    const before = jar.changes;
    jar.absorb('sid=1; HttpOnly', '/', nowMs);
    assert.equal(jar.changes, before);
    jar.absorb('sid=2; HttpOnly', '/', nowMs);
    assert.equal(jar.changes, before + 1);
  });

  test('keeps a name of which only the name was saved, and one that found no room', () => {
    const jar = new CookieJar(ownsNothing, { g: 0, c: [['sid', '1', '/', 0]], k: ['sid', 'gone'] });
    jar.absorb(`big=${'x'.repeat(33_000)}; HttpOnly`, '/', nowMs);
    for (const name of ['sid', 'gone', 'big']) assert.equal(jar.keeps(name), true);
    assert.deepEqual(jar.save().k, ['gone', 'big']);
  });

  test('renews to the cookies of a fresh sign-in alone, one generation on', () => {
    const jar = jarOf('sid=1; HttpOnly', 'old=1; HttpOnly');
    jar.renew(jarOf('sid=2; HttpOnly', 'fresh=1; HttpOnly'));
    assert.equal(jar.header('/', nowMs), 'sid=2; fresh=1');
    assert.equal(jar.generation, 1);
    assert.equal(jar.keeps('old'), true);
  });

  test('takes no more than 50 cookies and 32 KiB, and frees room when one goes', () => {
    const many = jarOf(...Array.from({ length: 60 }, (_, number) => `c${number}=x; HttpOnly`));
    assert.equal(many.header('/', nowMs).split('; ').length, 50);
    const big = `own=${'x'.repeat(30_000)}`;
    const full = jarOf(big);
    assert.equal(full.absorb(`sid=${'y'.repeat(3000)}; HttpOnly`, '/', nowMs).kind, 'ignored');
    full.absorb('own=; Max-Age=0', '/', nowMs);
    assert.equal(full.absorb(`sid=${'y'.repeat(3000)}; HttpOnly`, '/', nowMs).kind, 'kept');
  });

  test('the value of a name is that of its longest path', () => {
    const jar = jarOf('own=1; Path=/', 'own=2; Path=/deep');
    assert.equal(jar.value('own'), '2');
    assert.equal(jar.value('other'), undefined);
  });

  const line = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc
      .tuple(
        fc.constantFrom('a', 'b', 'own', 'c d'),
        fc.string({ maxLength: 12 }),
        fc.constantFrom('', '; HttpOnly', '; Path=/m', '; Max-Age=0', '; Max-Age=9', '; Expires=garbage', '; Domain=x'),
      )
      .map(([name, value, flags]) => `${name}=${value}${flags}`),
  );

  test('what it sends is always one clean field, and never a cookie that the browser holds', () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 40 }), fc.webPath(), (lines, path) => {
        const jar = jarOf(...lines);
        const field = jar.header(path, nowMs);
        assert.doesNotMatch(field, /[\0-\x1f\x7f]/);
        for (const pair of field === '' ? [] : field.split('; '))
          assert.ok(jar.keeps(pair.slice(0, pair.indexOf('='))));
      }),
    );
  });

  test('comes back from its saved form as it was', () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 80 }), (lines) => {
        const jar = jarOf(...lines);
        const saved = JSON.parse(JSON.stringify(jar.save()));
        const restored = new CookieJar((name) => name === 'own', saved);
        assert.deepEqual(restored.save(), jar.save());
        assert.equal(restored.header('/m/x', nowMs), jar.header('/m/x', nowMs));
        assert.equal(restored.changes, 0);
      }),
    );
  });
});

test('the path of a target ends before its query', () => {
  assert.equal(pathOf('/a/b?c/d'), '/a/b');
  assert.equal(pathOf('/a#b'), '/a');
  assert.equal(pathOf('/a'), '/a');
});
