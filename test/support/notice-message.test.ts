import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { readLocales } from '../../src/http/locales.ts';
import { type NoticeLanguage, noticeMessage } from '../../src/support/notice-message.ts';
import { canonicalUser } from '../login/named.fixture.ts';

const { all } = readLocales(new URL('../../views/locales/', import.meta.url), 'en');
const opened = {
  actor: canonicalUser('sam@example.test'),
  reason: 'Ticket 4711: Ordner „Müll“ fehlt',
  minutes: 15,
  atMs: Date.UTC(2026, 10, 22, 9, 30),
};
const envelope = { to: canonicalUser('alice@example.test'), from: { name: 'Post', domain: 'example.test' }, id: 'x1' };

function languages(...tags: readonly string[]): [NoticeLanguage, ...NoticeLanguage[]] {
  const found = tags.flatMap((tag) => all.find((locale) => locale.tag === tag) ?? []);
  const [first, ...others] = found;
  assert.ok(first !== undefined);
  return [first, ...others];
}

/** The fields, unfolded, and the decoded text. */
function read(message: string): { fields: ReadonlyMap<string, string>; text: string } {
  const at = message.indexOf('\r\n\r\n');
  const lines = message
    .slice(0, at)
    .replace(/\r\n[ \t]/g, ' ')
    .split('\r\n');
  const fields = new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]));
  return { fields, text: Buffer.from(message.slice(at), 'base64').toString() };
}

function decoded(field: string | undefined): string {
  const joined = (field ?? '').replace(/\?= +=\?/g, '?==?');
  return joined.replace(/=\?utf-8\?B\?([^?]*)\?=/g, (_whole, word: string) => Buffer.from(word, 'base64').toString());
}

const names = [
  'Date',
  'From',
  'To',
  'Subject',
  'Message-ID',
  'MIME-Version',
  'Content-Type',
  'Content-Transfer-Encoding',
  'Content-Language',
  'Auto-Submitted',
];

test('it says who, when, why and for how long', () => {
  const { fields, text } = read(noticeMessage(opened, envelope, languages('en')));
  assert.deepEqual([...fields.keys()], names);
  assert.equal(fields.get('Date'), 'Sun, 22 Nov 2026 09:30:00 +0000');
  assert.equal(fields.get('From'), '"Post" <postmaster@example.test>');
  assert.equal(fields.get('To'), '<alice@example.test>');
  assert.equal(fields.get('Subject'), 'Your mailbox was opened by support');
  assert.equal(fields.get('Message-ID'), '<x1@example.test>');
  assert.match(text, /sam@example\.test from support opened your mailbox on .*November 22, 2026/);
  assert.match(text, /at most 15 minutes/);
  assert.ok(text.includes('Ticket 4711: Ordner „Müll“ fehlt'));
});

test('the first language comes first and names the subject, the others follow', () => {
  const { fields, text } = read(noticeMessage(opened, envelope, languages('de', 'en')));
  assert.equal(decoded(fields.get('Subject')), 'Der Support hat Ihr Postfach geöffnet');
  assert.equal(fields.get('Content-Language'), 'de, en');
  assert.ok(text.indexOf('höchstens 15 Minuten') < text.indexOf('at most 15 minutes'));
});

test('every language that there is has its texts', () => {
  for (const { tag } of all) {
    const { text } = read(noticeMessage(opened, envelope, languages(tag)));
    assert.doesNotMatch(text, /\{\w+\}|noticeMessage/);
  }
});

test('nothing of a name, a reason or a site begins a field, leaves ASCII, or makes a long line', () => {
  const text = fc.string({ unit: 'binary', maxLength: 120 });
  const hostile = fc.oneof(
    text,
    fc.constantFrom('a\r\nBcc: evil@example.org', '=?utf-8?B?QQ==?=', '"\\', '\u202e\0', '€'.repeat(200)),
  );
  fc.assert(
    fc.property(hostile, hostile, hostile, hostile, (actor, reason, site, user) => {
      const to = canonicalUser(user === '' ? 'x' : user);
      const message = noticeMessage(
        { ...opened, actor: canonicalUser(actor === '' ? 'x' : actor), reason },
        { ...envelope, to, from: { name: site, domain: 'example.test' } },
        languages('de', 'en'),
      );
      assert.match(message, /^(?:[\x20-\x7e]{0,200}\r\n)*$/);
      const { fields } = read(message);
      assert.deepEqual([...fields.keys()], names);
      assert.match(fields.get('From') ?? '', / <postmaster@example\.test>$/);
    }),
  );
});

test('a site whose name is not ASCII is read as it is written', () => {
  for (const name of [
    'Österreichische Post – Postfächer für alle Bürgerinnen und Bürger',
    'P"o\\st',
    '=?utf-8?B?QQ==?=',
  ]) {
    const { fields } = read(
      noticeMessage(opened, { ...envelope, from: { name, domain: 'example.test' } }, languages('en')),
    );
    const shown = decoded(fields.get('From')).replace(/ <postmaster@example\.test>$/, '');
    assert.equal(shown.startsWith('"') ? shown.slice(1, -1).replace(/\\(.)/g, '$1') : shown, name);
  }
});

test('a user whose name is no address is not named as one', () => {
  for (const [user, to] of [
    ['alice', 'undisclosed-recipients:;'],
    ['jürgen@example.test', 'undisclosed-recipients:;'],
    ['a,b<c>@example.test', '<"a,b<c>"@example.test>'],
  ] as const) {
    const { fields } = read(noticeMessage(opened, { ...envelope, to: canonicalUser(user) }, languages('en')));
    assert.equal(fields.get('To'), to);
  }
});
