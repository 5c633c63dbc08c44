import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import {
  createLoginNameParser,
  type LoginNameRules,
  normaliseDomain,
  type ParsedLoginName,
} from '../../src/core/names.ts';

const site: LoginNameRules = {
  defaultDomain: 'example.test',
  domainAliases: { 'bücher.example': 'books.example', 'old.test': 'example.test' },
  detailSeparator: '+',
  forbiddenCharacters: '*',
};
const parse = createLoginNameParser(site);

const accepted: readonly (readonly [typed: string, name: string])[] = [
  ['alice', 'alice@example.test'],
  ['  Alice@Example.TEST ', 'alice@example.test'],
  ['alice@example.test.', 'alice@example.test'],
  ['alice@old.test', 'alice@example.test'],
  ['alice@BÜCHER.example', 'alice@books.example'],
  ['alice@xn--bcher-kva.example', 'alice@books.example'],
  ['alice@例え。テスト', 'alice@xn--r8jz45g.xn--zckzah'],
  ['alice+lists@example.test', 'alice@example.test'],
  ['+alice', '+alice@example.test'],
  ['JÖRG', 'jörg@example.test'],
  ['jo\u0308rg', 'jörg@example.test'],
  ['ＡＬＩＣＥ＠example.test', 'alice@example.test'],
  ['\u212Aelvin', 'kelvin@example.test'],
  ['ΟΔΟΣ', 'οδοσ@example.test'],
  ["o'neil@example.test", "o'neil@example.test"],
  [`${'a'.repeat(241)}@example.test`, `${'a'.repeat(241)}@example.test`],
];

const refused: readonly (readonly [typed: string, why: string])[] = [
  ['', 'empty'],
  ['   ', 'empty'],
  ['@example.test', 'empty'],
  ['alice\0', 'character'],
  ['alice\r\nbob', 'character'],
  ['alice\u202e@example.test', 'character'],
  ['al\u200bice', 'character'],
  ['al\u00adice', 'character'],
  ['al\u3164ice', 'character'],
  ['al\ufffdice', 'character'],
  ['al\ud800ice', 'character'],
  ['al ice', 'character'],
  ['al\u2028ice', 'character'],
  ['alice@evil@example.test', 'character'],
  ['alice*gateway', 'forbidden-character'],
  ['alice＊gateway', 'forbidden-character'],
  ['alice@', 'domain'],
  ['alice@0x7f.1', 'domain'],
  ['alice@ex%61mple.test', 'domain'],
  ['alice@[127.0.0.1]', 'domain'],
  ['alice@a..b', 'domain'],
  ['alice@-a.test', 'domain'],
  ['alice@a/b', 'domain'],
  [`alice@${'a'.repeat(64)}.test`, 'domain'],
  [`${'a'.repeat(242)}@example.test`, 'too-long'],
  ['ü'.repeat(130), 'too-long'],
  ['a'.repeat(1_000_000), 'too-long'],
];

describe('a login name', () => {
  for (const [typed, name] of accepted) {
    test(`${JSON.stringify(typed.slice(0, 40))} is ${name.slice(0, 40)}`, () => {
      assert.deepEqual(parse(typed), { kind: 'ok', name });
    });
  }

  for (const [typed, why] of refused) {
    test(`${JSON.stringify(typed.slice(0, 40))} is refused: ${why}`, () => {
      assert.deepEqual(parse(typed), { kind: 'malformed', why });
    });
  }

  test('without rules a bare name stays bare and keeps its detail', () => {
    assert.deepEqual(createLoginNameParser({})('Alice+x'), { kind: 'ok', name: 'alice+x' });
  });

  test('rules that name an impossible domain are refused when the parser is made', () => {
    assert.throws(() => createLoginNameParser({ defaultDomain: 'a b' }), /not a domain name: "a b"/);
    assert.equal(normaliseDomain('a b'), undefined);
    const chained = { domainAliases: { 'a.test': 'b.test', 'b.test': 'c.test' } };
    assert.throws(() => createLoginNameParser(chained), /must not lead to another alias: b\.test/);
  });

  const anyText = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), fc.emailAddress());

  test('parsing a result gives the same result, whatever was typed', () => {
    fc.assert(
      fc.property(anyText, (typed) => {
        const first = parse(typed);
        if (first.kind === 'ok') assert.deepEqual(parse(first.name), first);
      }),
      { numRuns: 2000 },
    );
  });

  test('upper and lower case of what was typed are one user', () => {
    fc.assert(
      fc.property(fc.emailAddress(), (typed) => {
        assert.deepEqual(parse(typed.toUpperCase()), parse(typed));
      }),
    );
  });

  test('a result is short, has one domain, and holds nothing that ends a line or cannot be seen', () => {
    fc.assert(
      fc.property(anyText, (typed) => {
        const parsed: ParsedLoginName = parse(typed);
        if (parsed.kind !== 'ok') return;
        assert.match(parsed.name, /^[^@\s\p{C}*]+@[a-z0-9._-]+$/u);
        assert.ok(Buffer.byteLength(parsed.name) <= 254);
      }),
      { numRuns: 2000 },
    );
  });
});
