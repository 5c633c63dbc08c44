import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import {
  clearedSessionCookie,
  makeSessionId,
  ownCookieNames,
  readCookieField,
  signatureKey,
  verifySessionCookie,
  withoutSessionCookies,
} from '../../src/sessions/cookie.ts';
import { createKeyRing, createServerKey } from '../../src/sessions/key-derivation.ts';
import { sampleKey } from './samples.fixture.ts';

const ring = createKeyRing([sampleKey], sampleKey.id);

/** As a browser sends what express-session has set. */
function signed(sessionId: string, key = sampleKey): string {
  const signature = createHmac('sha256', signatureKey(key)).update(sessionId).digest('base64').replace(/=+$/, '');
  return encodeURIComponent(`s:${sessionId}.${signature}`);
}

suite('a Cookie field', () => {
  for (const [field, own, rest] of [
    [undefined, undefined, ''],
    ['', undefined, ''],
    ['a=1; b=2', undefined, 'a=1; b=2'],
    ['__Host-postern=x', 'x', ''],
    ['a=1; __Host-postern=x; b=2', 'x', 'a=1; b=2'],
    ['a=1;__Host-postern=x;b=2', 'x', 'a=1; b=2'],
    ['a="q;__Host-postern=x', 'x', 'a="q'],
    ['\t__Host-postern \t=\t x \t; a=1', 'x', 'a=1'],
    ['__Host-postern=x; __Host-postern=y; a=1', undefined, 'a=1'],
    ['__Host-postern=x; __Host-postern=x', undefined, ''],
    ['__Host-postern=x; __Host-postern', undefined, ''],
    ['__Host-postern', '__Host-postern', ''],
    ['__host-postern=x', undefined, '__host-postern=x'],
    ['x__Host-postern=x', undefined, 'x__Host-postern=x'],
    ['__Host-postern-form=t; postern-form=t; a=1', undefined, 'a=1'],
    ['postern=x; a=1', undefined, 'a=1'],
    ['postern=x; __Host-postern=y', 'y', ''],
    ['=__Host-postern=x; a=b=c==', undefined, '=__Host-postern=x; a=b=c=='],
    ['a=1; ; ;; b', undefined, 'a=1; b'],
    ['a=\u00a0;b=\u00e9\u00a0', undefined, 'a=\u00a0; b=\u00e9\u00a0'],
  ] as const) {
    test(`${JSON.stringify(field)} is taken apart`, () => {
      assert.deepEqual(readCookieField(field, false), { own, rest });
    });
  }

  test('the name without prefix counts only where a public URL is plain HTTP, and never beside the other', () => {
    assert.equal(readCookieField('postern=x', true).own, 'x');
    assert.equal(readCookieField('postern=x; postern=y', true).own, undefined);
    assert.equal(readCookieField('postern=x; __Host-postern=y', true).own, 'y');
    assert.equal(readCookieField('postern=x; __Host-postern=y; __Host-postern=z', true).own, undefined);
  });

  test('of hostile fields no cookie of ours is ever left over, and no other pair is lost', () => {
    const name = fc.constantFrom(...ownCookieNames, 'a', 'postern2', '__Host-posterns', 'sid');
    const blank = fc.constantFrom('', ' ', '\t', ' \t ');
    const value = fc.string({ maxLength: 12 }).map((text) => text.replaceAll(';', ','));
    const pair = fc.tuple(blank, name, blank, fc.constantFrom('=', ''), value, blank);
    fc.assert(
      fc.property(fc.array(pair, { maxLength: 8 }), fc.constantFrom(';', '; ', ' ;'), (pairs, separator) => {
        const field = pairs.map((parts) => parts.join('')).join(separator);
        const { rest } = readCookieField(field, true);
        const names = rest.split('; ').map((piece) => (piece.split('=', 1)[0] ?? '').replace(/[ \t]+$/, ''));
        assert.ok(names.every((left) => !ownCookieNames.has(left)));
        const others = pairs.filter(([, cookieName, , equals]) => equals === '=' && !ownCookieNames.has(cookieName));
        assert.ok(names.length >= others.length);
        for (const [, cookieName] of others) assert.ok(names.includes(cookieName));
        assert.equal(readCookieField(rest, true).rest, rest);
      }),
    );
  });

  test('our own pages see a field without two session cookies, and still their form cookie', () => {
    const field = '__Host-postern=x; a=1; __Host-postern=y; __Host-postern-form=t; postern=z';
    assert.equal(withoutSessionCookies(field), 'a=1; __Host-postern-form=t');
  });
});

suite('a session cookie', () => {
  const sessionId = makeSessionId(sampleKey, randomBytes);

  test('that express-session signed is genuine, percent-encoded or not', () => {
    const verdict = verifySessionCookie(ring, signed(sessionId));
    assert.ok(verdict.kind === 'genuine');
    assert.equal(verdict.cookie.key, sampleKey.recordKeyOf(sessionId.split('.')[1] ?? ''));
    assert.equal(verdict.cookie.secret, sessionId.split('.')[2]);
    assert.deepEqual(verifySessionCookie(ring, decodeURIComponent(signed(sessionId))), verdict);
  });

  test('carries 256 random bits for the id and for the secret', () => {
    assert.match(sessionId, /^00000001\.[\w-]{43}\.[\w-]{43}$/);
    assert.notEqual(makeSessionId(sampleKey, randomBytes), sessionId);
  });

  test('of a key that is not in the ring is told apart from a forged one', () => {
    const foreign = createServerKey('0000000f', Buffer.alloc(32, 9));
    const sent = signed(makeSessionId(foreign, randomBytes), foreign);
    assert.deepEqual(verifySessionCookie(ring, sent), { kind: 'foreign-key', id: '0000000f' });
  });

  test('signed with another key of the same ring than it names is forged', () => {
    const second = createServerKey('00000002', Buffer.alloc(32, 2));
    const both = createKeyRing([sampleKey, second], second.id);
    assert.equal(verifySessionCookie(both, signed(sessionId, second)).kind, 'forged');
  });

  const good = decodeURIComponent(signed(sessionId));
  for (const [what, sent] of [
    ['empty', ''],
    ['unsigned', sessionId],
    ['unsigned with s:', `s:${sessionId}`],
    ['bad percent-encoding', '%zz'],
    ['a part too many', `${good}.x`],
    ['a blank behind', `${good} `],
    ['a line end behind', `${good}\n`],
    ['another signature', good.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))],
    ['another id', good.replace(/\.(.)/, (_, first: string) => (first === 'A' ? '.B' : '.A'))],
    ['quotes', `"${good}"`],
    ['upper-case key id', good.replace('00000001', '0000000F')],
  ] as const) {
    test(`that is ${what} is forged`, () => {
      assert.equal(verifySessionCookie(ring, encodeURIComponent(sent)).kind, 'forged');
      assert.equal(verifySessionCookie(ring, sent).kind, 'forged');
    });
  }

  test('that is random text is never genuine and never throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        assert.notEqual(verifySessionCookie(ring, text).kind, 'genuine');
        assert.equal(verifySessionCookie(ring, `${good}${text || '.'}`).kind, 'forged');
      }),
    );
  });

  test('is removed with the flags that browsers demand', () => {
    const removed = '=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly';
    assert.equal(clearedSessionCookie(true), `__Host-postern${removed}; Secure; SameSite=Lax`);
    assert.equal(clearedSessionCookie(false), `postern${removed}; SameSite=Lax`);
  });
});
