import assert from 'node:assert/strict';
import { test } from 'node:test';
import { array, assert as holds, constantFrom, integer, property } from 'fast-check';
import { Insertion } from '../../src/proxy/body-streams.ts';

const text = '<script src="/x"></script>';

function into(document: string, sizes: readonly number[] = [document.length]): string {
  const insertion = new Insertion(text);
  const bytes = Buffer.from(document);
  const parts: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    parts.push(insertion.feed(bytes.subarray(at, at + size)));
    at += size;
  }
  if (at < bytes.length) parts.push(insertion.feed(bytes.subarray(at)));
  parts.push(insertion.finish());
  return Buffer.concat(parts).toString();
}

for (const [where, document] of [
  ['right behind <head>', '<!DOCTYPE html>\n<html lang="de">\n<head>|<title>Ä</title></head><body>x</body></html>'],
  ['behind a <head> with attributes that hold >', '<html data-a="1>2"><head data-b=\'>\' >|<meta></head>'],
  ['behind comments that name a <head>', '<!-- <head> --><html><!-- <body> --><head>|<title></title>'],
  ['behind a byte order mark and white space', '\ufeff \r\n<!doctype html><HTML><HEAD>|</HEAD>'],
  ['before the body, where there is no <head>', '<!doctype html><html>|<body><head></body>'],
  ['before the first element of a document of no form', '|<p>hello <head></p>'],
  ['before <header>, which is no head', '<html>|<header>x</header>'],
  ['before plain text', '|hello'],
  ['into nothing', '|'],
  ['behind a doctype that is all there is', '<!doctype html>|'],
] as const) {
  test(`is written ${where}`, () => {
    assert.equal(into(document.replace('|', '')), document.replace('|', text));
  });
}

test('is written once and at the same place, however the document is cut', () => {
  const document =
    '\ufeff<!DOCTYPE html><!-- <head> --><html lang="de"><head profile="a>b"><title>Ä</title></head><body></body>';
  const whole = into(document);
  holds(
    property(array(integer({ min: 1, max: 20 }), { maxLength: 60 }), (sizes) => {
      assert.equal(into(document, sizes), whole);
    }),
  );
});

test('is written once into whatever comes, and nothing of it is lost', () => {
  const pieces = constantFrom(
    '<',
    '<!',
    '<!--',
    '-->',
    '<html',
    '>',
    '<head',
    '<head>',
    '"',
    "'",
    ' ',
    'x',
    '<body>',
    '<?',
    '<!doctype ',
  );
  holds(
    property(array(pieces, { maxLength: 40 }), array(integer({ min: 1, max: 9 }), { maxLength: 30 }), (some, sizes) => {
      const document = some.join('');
      const written = into(document, sizes);
      assert.equal(written.replace(text, ''), document);
      assert.equal(written.split(text).length, 2);
    }),
  );
});

test('does not wait for ever for a head that never ends', () => {
  const insertion = new Insertion(text);
  assert.equal(insertion.feed(Buffer.from('<!-- ')).length, 0);
  const passed = insertion.feed(Buffer.from('x'.repeat(64 * 1024)));
  assert.ok(passed.length > 64 * 1024);
});
