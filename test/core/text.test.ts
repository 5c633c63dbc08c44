import assert from 'node:assert/strict';
import { test } from 'node:test';
import { charsetOf, decodeText, encodeText } from '../../src/core/text.ts';

const cases: readonly (readonly [contentType: string | undefined, start: string, charset: string])[] = [
  [undefined, '<p>', 'utf-8'],
  ['text/html', '<p>', 'utf-8'],
  ['text/html; charset=ISO-8859-1', '<meta charset="utf-8">', 'windows-1252'],
  ['text/html; charset="koi8-r"; x=y', '', 'koi8-r'],
  ['text/html; charset=nonsense', '<meta charset=koi8-r>', 'utf-8'],
  ['text/html', '<meta charset=koi8-r>', 'koi8-r'],
  ['text/html', '<meta http-equiv="content-type" content="text/html; charset=iso-8859-2">', 'iso-8859-2'],
  ['text/html', '<meta charset="utf-16">', 'utf-8'],
  ['text/html', `${' '.repeat(1024)}<meta charset=koi8-r>`, 'utf-8'],
  ['application/json', '{"a":"<meta charset=koi8-r>"}', 'utf-8'],
  ['text/html; charset=iso-8859-1', '\u00ef\u00bb\u00bf', 'utf-8'],
];
for (const [contentType, start, charset] of cases) {
  test(`${contentType ?? 'nothing'} and ${start.trim().slice(0, 40)} are ${charset}`, () => {
    assert.equal(charsetOf(contentType, Buffer.from(start, 'latin1')), charset);
    assert.equal(charsetOf(contentType, start), charset);
  });
}

test('what is written in a coding of one byte a character is read back', () => {
  for (const charset of ['windows-1252', 'iso-8859-2', 'iso-8859-15', 'koi8-r', 'iso-8859-6', 'utf-8']) {
    const texts = charset === 'koi8-r' ? ['Пароль'] : charset === 'iso-8859-6' ? ['كلمة'] : ['ä ß'];
    for (const text of texts) assert.equal(decodeText(encodeText(text, charset), charset), text);
  }
});

test('what a coding lacks becomes a reference, and a coding of several bytes takes ASCII only', () => {
  assert.equal(encodeText('a€日', 'windows-1252').toString('latin1'), 'a\u0080&#26085;');
  assert.equal(encodeText('abc', 'shift_jis').toString('latin1'), 'abc');
  assert.throws(() => encodeText('日', 'shift_jis'), RangeError);
});
