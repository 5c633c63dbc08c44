import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, problemsOf } from './config.fixture.ts';

const head = 'public_url: http://127.0.0.1:8080\n';
const directory = 'directory: { sources: [{ type: static, backend: a }] }\n';
const secrets = { 'master.secret': 'master-pw\n', 'other.secret': 'other-pw\n' };
const a = 'imap: imaps://mx1.test, webmail: http://mx1.test/, driver: none';
const b = 'imap: imaps://mx2.test, webmail: http://mx2.test/, driver: none';
const master = 'master: { user: postern, password: { file: master.secret } }';

test('a backend has the master of the defaults, or one of its own', async (t) => {
  const other = 'master: { user: other, password: { file: other.secret }, separator: "%" }';
  const config = await load(t, {
    ...secrets,
    'postern.yaml': `${head}directory: { forbidden_characters: "*%", sources: [{ type: static, backend: a }] }
backend_defaults: { ${master} }
backends: { a: { ${a} }, b: { ${b}, ${other} } }`,
  });
  const masters = [...config.backends.values()].map(({ master: one }) => [
    one?.user,
    one?.password.reveal(),
    one?.separator,
  ]);
  assert.deepEqual(masters, [
    ['postern', 'master-pw', '*'],
    ['other', 'other-pw', '%'],
  ]);
});

test('without one there is none', async (t) => {
  const config = await load(t, { 'postern.yaml': `${head}${directory}backends: { a: { ${a} } }` });
  assert.deepEqual(
    [...config.backends.values()].map((backend) => 'master' in backend),
    [false],
  );
});

const wrong: readonly (readonly [name: string, entry: string, problem: RegExp])[] = [
  ['a password that is written out', 'master: { user: postern, password: secret }', /must come from a file/],
  [
    'a name that an IMAP library would sign in itself',
    'master: { user: a/b, password: { file: master.secret } }',
    /is not a valid master name/,
  ],
  [
    'a separator of two characters',
    `master: { user: p, password: { file: master.secret }, separator: "**" }`,
    /one character/,
  ],
  [
    'a separator that names may hold',
    `master: { user: p, password: { file: master.secret }, separator: "+" }`,
    /add it to directory\.forbidden_characters/,
  ],
];
for (const [name, entry, problem] of wrong) {
  test(`${name} is a problem`, async (t) => {
    const text = `${head}${directory}backends: { a: { ${a}, ${entry} } }`;
    const problems = await problemsOf(t, { ...secrets, 'postern.yaml': text });
    assert.equal(problems.length, 1, problems.join('\n'));
    assert.match(problems[0] ?? '', problem);
  });
}

test('master_login without a master is a problem of its backend', async (t) => {
  const entry =
    'imap: imaps://mx1.test, webmail: http://mx1.test/, driver: roundcube, roundcube: { master_login: true }';
  const text = `${head}${directory}backends: { a: { ${entry} } }`;
  const [problem = '', ...others] = await problemsOf(t, { 'postern.yaml': text });
  assert.match(problem, /^postern\.yaml:3:\d+ backends\.a: .*master_login.*no master/);
  assert.deepEqual(others, []);
});
