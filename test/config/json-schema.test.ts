import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parse } from 'yaml';
import { sourceTypes } from '../../src/directory/registry.ts';
import { driverNames, loadDriverModule } from '../../src/webmail/registry.ts';
import { referenceExamples } from '../../tools/config-reference.ts';
import { examplesOf } from '../../tools/webmail-abilities.ts';

const schema = JSON.parse(readFileSync(new URL('../../docs/postern.schema.json', import.meta.url), 'utf8'));
const accepts = new Ajv2020({ strict: false }).compile(schema);

test('the schema has a name of its own, and one branch for each type of source', () => {
  assert.match(schema.$id, /^urn:postern:/);
  const types = schema.properties.directory.properties.sources.items.oneOf;
  assert.deepEqual(
    types.map((each: { title: string }) => each.title),
    sourceTypes,
  );
});

test('the examples of the reference are accepted', () => {
  const config: unknown = parse([...referenceExamples.values()].join('\n'));
  assert.equal(accepts(config), true, JSON.stringify(accepts.errors));
});

for (const page of ['docs/directory.md', ...globSync('docs/directory/*.md')]) {
  test(`the sources of ${page} are accepted`, () => {
    for (const [, text = ''] of readFileSync(page, 'utf8').matchAll(/```yaml\n([^]*?)```/g)) {
      const sources: unknown[] = parse(text).directory?.sources ?? [];
      for (const source of sources)
        assert.equal(accepts(withSource(source)), true, JSON.stringify([source, accepts.errors]));
    }
  });
}

const refused: readonly (readonly [name: string, source: unknown])[] = [
  ['a type that does not exist', { type: 'mapp', file: 'users.map' }],
  ['no type', { file: 'users.map' }],
  ['a key of another type', { type: 'map', file: 'users.map', weights: { a: 1 } }],
  ['a slip in a key', { type: 'map', fil: 'users.map' }],
  ['a key that is missing', { type: 'ldap', servers: 'ldaps://x', base: 'dc=x' }],
  ['a word that is none', { type: 'map', file: 'users.map', answers: 'maybe' }],
  ['a secret that is written out', { type: 'redis', url: 'redis://h', key: '%u', password: 'secret' }],
  ['a secret of two places', { type: 'redis', url: 'redis://h', key: '%u', password: { file: 'a', envv: 'B' } }],
  ['a list for a text', { type: 'static', backend: ['a'] }],
  ['a weight below 0', { type: 'hash', weights: { a: -1 } }],
];
for (const [name, source] of refused) {
  test(`${name} is refused`, () => assert.equal(accepts(withSource(source)), false));
}

for (const driver of driverNames) {
  test(`each example of the ${driver} driver is accepted, at a backend and under the defaults`, async () => {
    for (const example of examplesOf((await loadDriverModule(driver)).settings)) {
      assert.equal(accepts(withWebmail({ driver, [driver]: example })), true, JSON.stringify(accepts.errors));
      assert.equal(accepts(withWebmail({ driver }, { [driver]: example })), true, JSON.stringify(accepts.errors));
    }
  });
}

test('what a driver needs may stand in part under the defaults', () => {
  assert.equal(accepts(withWebmail({ sogo: { secret: { file: 's' } } }, { sogo: { mode: 'trusted' } })), true);
});

const refusedSettings: readonly (readonly [name: string, settings: Readonly<Record<string, unknown>>])[] = [
  ['a slip in a key of roundcube', { roundcube: { entry_kye: { file: 'k' } } }],
  ['a key of another driver', { roundcube: { own_account: true } }],
  ['a secret of roundcube that is written out', { roundcube: { entry_key: '0123456789abcdef' } }],
  ['a word of sogo that is none', { sogo: { mode: 'trustd' } }],
  ['a text for a yes or no of horde', { horde: { own_account: 'yes' } }],
  ['a status of form that is none', { form: { success: { status: 99 } } }],
  ['a slip in a mark of form', { form: { lost: [{ locaton: '/login' }] } }],
  ['a slip deep in form', { form: { json: { path: '/api', body: {}, token: { header: 'X', cokie: 'c' } } } }],
  ['a number for a name of basic', { basic: { signed_out: { sets_cookie: 5 } } }],
  ['a list for a field of header', { header: { user_field: ['X-User'] } }],
  ['any setting of none', { none: { x: 1 } }],
  ['a list for settings', { sogo: [] }],
  ['a driver that does not exist', { driver: 'squirrelmail' }],
  ['settings of a driver that does not exist', { squirrelmail: {} }],
];
for (const [name, settings] of refusedSettings) {
  test(`${name} is refused, at a backend and under the defaults`, () => {
    assert.equal(accepts(withWebmail(settings)), false);
    assert.equal(accepts(withWebmail({}, settings)), false);
  });
}

function withSource(source: unknown): unknown {
  return {
    public_url: 'http://127.0.0.1:8080',
    directory: { sources: [source] },
    backends: { a: { imap: 'imaps://mx1.test', webmail: 'http://mx1.test/', driver: 'none' } },
  };
}

function withWebmail(backend: object, defaults: object = {}): unknown {
  return {
    public_url: 'http://127.0.0.1:8080',
    directory: { sources: [{ type: 'static', backend: 'a' }] },
    backend_defaults: defaults,
    backends: { a: { imap: 'imaps://mx1.test', webmail: 'http://mx1.test/', ...backend } },
  };
}
