import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import * as fc from 'fast-check';
import request from 'supertest';
import { failureKinds } from '../../src/core/http.ts';
import { endReasons } from '../../src/core/session.ts';
import { refusals } from '../../src/http/gateway-answers.ts';
import { preferences, readLocales } from '../../src/http/locales.ts';
import german from '../../views/locales/de.json' with { type: 'json' };
import english from '../../views/locales/en.json' with { type: 'json' };
import { startPages } from './http.fixture.ts';

const catalogues = new URL('../../views/locales/', import.meta.url);

test('German has every text that English has, with the same places to fill', () => {
  assert.deepEqual(places(german), places(english));
});

test('there is a text for each way in which a session ends, a request fails or is refused', () => {
  const keys = Object.keys(english);
  for (const reason of endReasons) assert.ok(keys.includes(`ended.${reason}`), reason);
  for (const kind of failureKinds)
    assert.ok(keys.includes(`failure.${kind}.title`) && keys.includes(`failure.${kind}.text`), kind);
  for (const why of refusals) assert.ok(keys.includes(`refused.${why}`), why);
});

const fields: readonly (readonly [field: string, tags: string[]])[] = [
  ['de', ['de']],
  ['de-AT,de;q=0.9,en;q=0.8', ['de-AT', 'de', 'en']],
  ['en;q=0.5, de', ['de', 'en']],
  ['fr;q=0, de;q=0.1', ['de']],
  ['de;q=1.5, en', ['en']],
  ['*', []],
  ['', []],
  [';;,,q=1,de;q=', []],
];
for (const [field, tags] of fields) {
  test(`Accept-Language ${JSON.stringify(field)} asks for ${tags.join(', ') || 'nothing'}`, () => {
    assert.deepEqual(preferences(field), tags);
  });
}

test('no Accept-Language field and no language parameter is too odd to be answered', () => {
  const locales = readLocales(catalogues, 'en');
  fc.assert(
    fc.property(fc.string(), fc.anything(), (field, asked) => {
      assert.ok(['de', 'en'].includes(locales.choose(asked, field).tag));
    }),
  );
});

test('the picker comes before the browser, the browser before the default', () => {
  const locales = readLocales(catalogues, 'de');
  assert.equal(locales.choose('en', 'de').tag, 'en');
  assert.equal(locales.choose('xx', 'en-GB').tag, 'en');
  assert.equal(locales.choose(undefined, 'fr, es').tag, 'de');
  assert.equal(readLocales(catalogues, 'xx').choose(undefined, undefined).tag, 'en');
});

test('a language is added by a file, and what it lacks is said in English', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-locales-'));
  try {
    writeFileSync(join(folder, 'nl.json'), JSON.stringify({ language: 'Nederlands', 'signIn.submit': 'Aanmelden' }));
    const dutch = readLocales(pathToFileURL(`${folder}/`), 'nl').choose(undefined, 'nl-BE');
    assert.equal(dutch.label, 'Nederlands');
    assert.equal(dutch.text('signIn.submit'), 'Aanmelden');
    assert.equal(dutch.text('signIn.password'), 'Password');
    assert.equal(dutch.text('reference', { reference: 'R1' }), 'Reference: R1');
    writeFileSync(join(folder, 'nl.json'), JSON.stringify({ language: 7 }));
    assert.throws(() => readLocales(pathToFileURL(`${folder}/`), 'nl'), /nl\.json: language/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the page speaks German to a German browser, offers English, and keeps what was asked for', async () => {
  await using fixture = await startPages();
  const { text, headers } = await request(fixture.server)
    .get('/-/login?next=/x%3Fa&ended=idle')
    .set('Accept-Language', 'de-AT');
  assert.match(text, /<html lang="de">/);
  assert.match(text, /Anmelden/);
  assert.equal(headers['content-language'], 'de');
  assert.match(text, /href="\?next=%2Fx%3Fa&amp;ended=idle&amp;lang=en" lang="en"/);
  const english = await request(fixture.server).get('/-/login?lang=en').set('Accept-Language', 'de-AT');
  assert.match(english.text, /<html lang="en">/);
});

function places(texts: Record<string, string>) {
  return Object.entries(texts).map(([key, text]) => [key, text.match(/\{\w+\}/g) ?? []]);
}
