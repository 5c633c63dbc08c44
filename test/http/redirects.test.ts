import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { nextTarget } from '../../src/http/forms.ts';

const origin = 'https://mail.example.org';

const kept = [
  '/?_task=mail',
  '/?_task=mail&_mbox=Sent#uid=7',
  '/roundcube/',
  '/SOGo/so/alice@example.test/Mail/view',
  '/horde/imp/dynamic.php?page=mailbox#msg:INBOX:5',
  '/a%2F%2Fb?x=%00',
  '/?url=https://evil.example/',
  '/?a=//evil.example',
  '/-/sessions',
  '/x@evil.example',
  '/a:b',
  '/#',
];
for (const target of kept) {
  test(`${target} is led to as it is`, () => {
    assert.equal(nextTarget(target, origin), target);
  });
}

test('what is not ASCII is led to percent-encoded', () => {
  assert.equal(nextTarget('/Entwürfe?q=ä#ö', origin), '/Entw%C3%BCrfe?q=%C3%A4#%C3%B6');
});

const foreign = [
  'https://evil.example/',
  'http://evil.example',
  'HTTPS://evil.example',
  'https:evil.example',
  'https:/evil.example',
  '//evil.example',
  '///evil.example',
  '////evil.example',
  '//evil.example/%2f..',
  '//evil.example@mail.example.org/',
  '/\\evil.example',
  '\\\\evil.example',
  '\\/evil.example',
  '/\\/evil.example',
  '/x\\..\\evil',
  '\\evil.example',
  '/\t/evil.example',
  '/\n/evil.example',
  '/\r/evil.example',
  '\t//evil.example',
  ' //evil.example',
  '\u00a0//evil.example',
  '/ /evil.example',
  '/\u2028/evil.example',
  '/\u200b/evil.example',
  '/\ufeff/evil.example',
  '/\u202e/evil.example',
  '/.//evil.example',
  '/..//evil.example',
  '/a/..//evil.example',
  '/%2e//evil.example',
  '/%2e%2e//evil.example',
  '/./%2e//evil.example',
  'javascript:alert(1)',
  'JavaScript:alert(1)',
  'java\tscript:alert(1)',
  'data:text/html,x',
  'vbscript:x',
  'mailto:x@evil.example',
  'evil.example',
  '@evil.example',
  ':80',
  '?x',
  '#x',
  '.',
  '..',
  '',
  '/',
  'mail.example.org',
  'https://mail.example.org.evil.example/',
  'https://mail.example.org@evil.example/',
  'https://mail.example.org/',
  'https://MAIL.example.org:444/',
  '/x\0',
  '/x\u007f',
  '/x\r\nSet-Cookie: a=b',
  '/x\ud800',
  '/x\ufffd',
  '/-/login',
  '/-/login?next=/x',
  '/-/logout',
  '/-/login/x',
  `/${'x'.repeat(5000)}`,
];
for (const value of foreign) {
  test(`${JSON.stringify(value.slice(0, 60))} is led nowhere`, () => {
    assert.equal(nextTarget(value, origin), undefined);
  });
}

for (const value of [undefined, null, 7, {}, ['/x'], ['/x', '/y'], { toString: () => '/x' }]) {
  test(`${JSON.stringify(value)} is no place`, () => {
    assert.equal(nextTarget(value, origin), undefined);
  });
}

test('whatever is let through stays on this origin, for the browser and for a reader that knows paths only', () => {
  const pieces = fc.constantFrom(
    '/',
    '\\',
    '.',
    '..',
    '%2e',
    '%2f',
    '%5c',
    '@',
    ':',
    '?',
    '#',
    'x',
    'evil.example',
    '\t',
    '\r\n',
    '\0',
    'http:',
    '-',
    'login',
    'ä',
    '\u200b',
  );
  const hostile = fc.oneof(
    fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join('')),
    fc.string({ unit: 'binary' }),
  );
  fc.assert(
    fc.property(hostile, (value) => {
      const target = nextTarget(value, origin);
      if (target === undefined) return;
      assert.match(target, /^\/(?![/\\])[!-~]*$/);
      const url = new URL(target, origin);
      assert.equal(url.origin, origin);
      assert.ok(!url.pathname.startsWith('//'));
    }),
    { numRuns: 5_000 },
  );
});
