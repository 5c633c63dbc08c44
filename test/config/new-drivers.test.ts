import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parse } from 'yaml';
import { spawnSync } from '../programs.ts';

const root = new URL('../../', import.meta.url).pathname;

/** A driver as somebody would add it: its file, and its line in the registry of its kind. */
interface NewDriver {
  readonly file: string;
  readonly text: string;
  readonly registry: string;
  readonly lineBefore: string;
  readonly line: string;
}

const webmail: NewDriver = {
  file: 'src/webmail/toymail.ts',
  text: `import { CookieJar } from '../core/cookie-jar.ts';
import type { WebmailDriver } from '../core/webmail.ts';
import { duration, section } from '../schema/scalars.ts';
import type { ConfiguredParts } from './browser.ts';
import { checkedSettings } from './driver-settings.ts';

/** What it is, for the reference. */
export const about = 'A toy.';

/** Settings of the \`toymail\` driver. */
export const settings = section({
  patience: duration({ atLeastMs: 10 }).prefault('1s').describe('How long the toy waits.'),
}).meta({ examples: [{}, { patience: '2s' }] });

/** Paths of the toy's own server for Basic clients. */
export const davPaths = ['/toy/dav'];

/** A webmail that takes everybody. */
export function create(parts: ConfiguredParts): WebmailDriver {
  checkedSettings(settings, parts.settings);
  return {
    ownsCookie: () => false,
    masterEntry: { kind: 'own-account' },
    signIn: (host) =>
      Promise.resolve({
        kind: 'signed-in',
        jar: new CookieJar(() => false),
        browserCookies: [],
        landing: host.webmail.landing,
      }),
    signOut: () => Promise.resolve(),
    judge: () => 'alive',
  };
}
`,
  registry: 'src/webmail/registry.ts',
  lineBefore: "  none: () => import('./none.ts'),\n",
  line: "  toymail: () => import('./toymail.ts'),\n",
};

const source: NewDriver = {
  file: 'src/directory/sources/toybox.ts',
  text: `import { textOrNumber } from '../../schema/scalars.ts';
import { defineSource, sourceSettings } from '../settings.ts';

/** A source that sends everybody to one backend. */
export const driver = defineSource({
  about: 'A toy.',
  settings: sourceSettings({
    home: textOrNumber('the name of a backend', 'write the name of a backend').describe('The backend.'),
  }),
  create({ home }) {
    return {
      isLocal: true,
      ask: () => Promise.resolve({ kind: 'found', home }),
      async [Symbol.asyncDispose]() {},
    };
  },
});
`,
  registry: 'src/directory/registry.ts',
  lineBefore: "  ['tcp_table', () => import('./sources/tcp-table.ts')],\n",
  line: "  ['toybox', () => import('./sources/toybox.ts')],\n",
};

const config = `public_url: http://127.0.0.1:8080
directory:
  sources:
    - type: toybox
      home: a
backends:
  a:
    imap: imaps://mx1.test
    webmail: http://mx1.test/
    driver: toymail
    toymail:
      patience: 3s
`;

describe('a new driver is its file and one line in the registry of its kind', () => {
  let tree = '';
  before(() => {
    tree = mkdtempSync(join(tmpdir(), 'postern-new-drivers-'));
    for (const part of ['src', 'tools', 'bin', 'docs', 'views', 'static', 'package.json', 'tsconfig.json']) {
      cpSync(join(root, part), join(tree, part), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
    for (const { file, text, registry, lineBefore, line } of [webmail, source]) {
      const lines = readFileSync(join(tree, registry), 'utf8');
      assert.ok(lines.includes(lineBefore), `${registry} has the line after which the new one goes`);
      writeFileSync(join(tree, file), text);
      writeFileSync(join(tree, registry), lines.replace(lineBefore, lineBefore + line));
    }
    mkdirSync(join(tree, 'site'));
  });
  after(() => rmSync(tree, { recursive: true }));

  const node = (...args: readonly string[]) =>
    spawnSync(process.execPath, args, { cwd: tree, encoding: 'utf8', env: { PATH: process.env['PATH'] } });
  const check = (text: string) => {
    writeFileSync(join(tree, 'site/postern.yaml'), text);
    const { status, stdout, stderr } = node('bin/postern.mjs', 'check', '-c', 'site/postern.yaml');
    return { status, said: stdout + stderr };
  };

  test('the compiler asks for nothing more', () => {
    const { status, stdout } = node('node_modules/typescript/bin/tsc');
    assert.equal(stdout, '');
    assert.equal(status, 0);
  });

  test('check accepts a configuration that uses them', () => {
    const { status, said } = check(config);
    assert.equal(status, 0, said);
    assert.match(said, /directory +1 toybox/);
    assert.match(said, /backends +1: 1 toymail/);
  });

  test('check refuses a wrong key, each at its line', () => {
    const { status, said } = check(config.replace('home:', 'hom:').replace('patience:', 'patiense:'));
    assert.equal(status, 2);
    const lines = said.split('\n').filter((line) => line.startsWith('site/'));
    assert.deepEqual(lines, [
      'site/postern.yaml:4:7 directory.sources[0].home: is missing: write the name of a backend',
      'site/postern.yaml:5:7 directory.sources[0].hom: is not a known key: did you mean home?',
      'site/postern.yaml:12:7 backends.a.toymail.patiense: is not a known key: did you mean patience?',
    ]);
  });

  test('the reference, the JSON schema and the table of abilities name them', () => {
    for (const tool of ['config-reference', 'webmail-abilities']) {
      const { status, stderr } = node(`tools/${tool}.ts`, '--write');
      assert.equal(status, 0, stderr);
    }
    const reference = readFileSync(join(tree, 'docs/configuration.md'), 'utf8');
    assert.match(reference, /^\| `toymail\.patience` \| duration \| `1s` \| How long the toy waits\. \|$/m);
    assert.match(reference, /^\| `toybox\.home` \|/m);
    assert.match(readFileSync(join(tree, 'docs/webmails.md'), 'utf8'), /^\| `toymail`, `patience: 2s` \| yes \|/m);

    const schema = JSON.parse(readFileSync(join(tree, 'docs/postern.schema.json'), 'utf8'));
    const accepts = new Ajv2020({ strict: false }).compile(schema);
    assert.equal(accepts(parse(config)), true, JSON.stringify(accepts.errors));
    assert.equal(accepts(parse(config.replace('patience:', 'patiense:'))), false);
    assert.equal(accepts(parse(config.replace('home:', 'hom:'))), false);
  });
});
