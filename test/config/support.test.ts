import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, problemsOf, smallest } from './config.fixture.ts';

const hosts = 'console: http://support.localhost:8080, assist: http://assist.localhost:8080';
const withSupport = (more: string) => ({ 'postern.yaml': smallest(`support: { ${hosts}${more} }\n`) });

test('who is staff, and for whom, is read from the configuration', async (t) => {
  const { support } = await load(
    t,
    withSupport(
      `, staff: { sam@example.test: { roles: [support], domains: [Example.TEST] }, olga@example.test: { roles: [support, operator] }, ada@example.test: auditor }
       , never_opened: [head@example.test]`,
    ),
  );
  assert.deepEqual(
    [...(support?.staff ?? [])],
    [
      ['sam@example.test', { roles: ['support'], domains: ['example.test'] }],
      ['olga@example.test', { roles: ['support', 'operator'] }],
      ['ada@example.test', { roles: ['auditor'] }],
    ],
  );
  assert.deepEqual([...(support?.neverOpened ?? [])], ['head@example.test']);
  assert.equal(support?.console.origin, 'http://support.localhost:8080');
  assert.equal(support.notice, 'at-sign-in');
});

test('without the section there is no support', async (t) => {
  const config = await load(t, { 'postern.yaml': smallest() });
  assert.equal(config.support, undefined);
});

test('the three addresses have three host names: a port is not enough', async (t) => {
  const problems = await problemsOf(t, {
    'postern.yaml': smallest('support: { console: http://127.0.0.1:8081, assist: http://127.0.0.1:8082 }\n'),
  });
  assert.equal(problems.length, 2);
  assert.match(problems[0] ?? '', /support\.console.*same host name as public_url.*console\.example\.org/);
  assert.match(problems[1] ?? '', /support\.assist.*same host name as support\.console/);
});

test('plain HTTP is refused where users come by HTTPS', async (t) => {
  const yaml = smallest(`support: { ${hosts} }\n`).replace('http://127.0.0.1:8080', 'https://mail.example.test');
  const problems = await problemsOf(t, { 'postern.yaml': yaml });
  assert.deepEqual(
    problems.map((problem) => /support\.\w+: .*$/.exec(problem)?.[0]),
    [
      'support.console: is not HTTPS, but public_url is: write https://',
      'support.assist: is not HTTPS, but public_url is: write https://',
    ],
  );
});

for (const [why, more, problem] of [
  [
    'a role that does not exist',
    ', staff: { sam@example.test: boss }',
    /staff.*write support, operator, viewer or auditor/,
  ],
  ['no roles at all', ', staff: { sam@example.test: { roles: [] } }', /roles: is empty: write support/],
  [
    'domains beside a role that they do not limit',
    ', staff: { sam@example.test: { roles: [support, operator], domains: [example.test] } }',
    /domains: limits only support, and operator sees every domain: leave out domains, or the role operator$/,
  ],
  [
    'a name in capitals, which no canonical user has',
    ', staff: { Sam@example.test: support }',
    /signs in as sam@example.test: write that/,
  ],
  ['a user never to be opened who is no name', ', never_opened: ["a b"]', /is not a mailbox name/],
] as const) {
  test(`refuses ${why}`, async (t) => {
    const problems = await problemsOf(t, withSupport(more));
    assert.equal(problems.length, 1, problems.join('\n'));
    assert.match(problems[0] ?? '', problem);
  });
}
