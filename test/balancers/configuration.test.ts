import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { diffConfig } from '../../src/config/diff.ts';
import { load, problemsOf, smallest } from '../config/config.fixture.ts';
import { makeCertificate } from '../passdb/certificates.fixture.ts';

const mail = makeCertificate('DNS:mail.example.test');
const post = makeCertificate('DNS:post.example.test');
const secure = smallest().replace('http://127.0.0.1:8080', 'https://mail.example.test');
const pems = { 'mail.pem': mail.cert, 'mail.key': mail.key, 'post.pem': post.cert, 'post.key': post.key };

const forms: readonly (readonly [written: string, store: object])[] = [
  ['redis://r.test', { kind: 'redis', url: 'redis://r.test' }],
  ['{ url: "rediss://r.test:1/2" }', { kind: 'redis', url: 'rediss://r.test:1/2' }],
  [
    '{ sentinels: [s1.test, "s2.test:1", "[2001:db8::1]:2"], name: mymaster }',
    {
      kind: 'redis',
      sentinels: [
        { host: 's1.test', port: 26_379 },
        { host: 's2.test', port: 1 },
        { host: '2001:db8::1', port: 2 },
      ],
      name: 'mymaster',
      database: 0,
      tls: false,
    },
  ],
  [
    '{ cluster: [c1.test, 192.0.2.7:7000], user: postern, tls: true }',
    {
      kind: 'redis',
      cluster: [
        { host: 'c1.test', port: 6379 },
        { host: '192.0.2.7', port: 7000 },
      ],
      user: 'postern',
      tls: true,
    },
  ],
];

for (const [written, store] of forms) {
  test(`sessions.redis: ${written}`, async (t) => {
    const config = await load(t, { 'postern.yaml': smallest(`sessions: { redis: ${written} }`) });
    assert.deepEqual(config.sessions.store, store);
  });
}

const wrong: readonly (readonly [yaml: string, problem: RegExp])[] = [
  [smallest('sessions: { redis: {} }'), /sessions\.redis: names no Redis, or more than one: write redis:/],
  [
    smallest('sessions: { redis: { url: "redis://r", cluster: [c] } }'),
    /sessions\.redis: names no Redis, or more than one/,
  ],
  [smallest('sessions: { redis: { sentinels: [s] } }'), /sessions\.redis\.name: is missing/],
  [smallest('sessions: { redis: { sentinels: [], name: x } }'), /sessions\.redis\.sentinels: is empty/],
  [smallest('sessions: { redis: { cluster: [c], name: x } }'), /sessions\.redis\.name: does not belong here/],
  [smallest('sessions: { redis: { url: "redis://r", user: x } }'), /sessions\.redis\.user: does not belong here/],
  [smallest('sessions: { redis: { cluster: ["redis://c"] } }'), /sessions\.redis\.cluster\[0\]: .* is not a server/],
  [smallest('workers: 4'), /workers: starts 4 processes, but the embedded store serves only one: set sessions\.redis/],
  [smallest('workers: 0'), /workers: /],
  [smallest('workers: many'), /workers: "many" is not a number of processes/],
  [smallest('proxy_protocol: optionl'), /proxy_protocol: "optionl" is not known here: did you mean optional\?/],
  [smallest('tls: { certificate_file: mail.pem, key_file: mail.key }'), /tls: .*public_url has no https address/],
  [`${secure}tls: []\n`, /tls: is empty/],
  [`${secure}tls: { certificate_file: mail.pem, key_file: post.key }\n`, /tls\.key_file: does not match the cert/],
  [`${secure}tls: { certificate_file: mail.key, key_file: mail.key }\n`, /tls\.certificate_file: .* contains no cert/],
  [
    `${secure}tls: { certificate_file: mail.pem, key_file: mail.pem }\n`,
    /tls\.key_file: .* contains no readable private key/,
  ],
  [`${secure}tls: { certificate_file: mail.pem, key_file: none }\n`, /tls\.key_file: there is no file/],
];

for (const [yaml, problem] of wrong) {
  test(`a problem is told: ${problem.source}`, async (t) => {
    const problems = await problemsOf(t, { 'postern.yaml': yaml, ...pems });
    assert.equal(problems.length, 1, problems.join('\n'));
    assert.match(problems[0] ?? '', problem);
  });
}

test('one certificate or several, by absolute paths', async (t) => {
  const one = await load(t, {
    'postern.yaml': `${secure}tls: { certificate_file: mail.pem, key_file: mail.key }\n`,
    ...pems,
  });
  assert.deepEqual(
    one.tls.map(({ keyFile }) => keyFile.replace(/^.*\//, '/')),
    ['/mail.key'],
  );
  const yaml = `${secure}tls:
  - { certificate_file: mail.pem, key_file: mail.key }
  - { certificate_file: post.pem, key_file: post.key }
`;
  assert.equal((await load(t, { 'postern.yaml': yaml, ...pems })).tls.length, 2);
});

test('workers: auto is one per processor, with Redis', async (t) => {
  const yaml = smallest('workers: auto\nsessions: { redis: "redis://r.test" }');
  assert.equal((await load(t, { 'postern.yaml': yaml })).workers, availableParallelism());
});

test('a reload may change certificates and the agent’s weight, but neither listeners nor processes', async (t) => {
  const redis = 'sessions: { redis: "redis://r.test" }\n';
  const before = await load(t, { 'postern.yaml': `${secure}${redis}` });
  const after = await load(t, {
    'postern.yaml': `${secure}${redis}workers: 2
proxy_protocol: required
tls: { certificate_file: mail.pem, key_file: mail.key }
operators: { agent_check: 127.0.0.1:9091, agent_weight: 10 }
`,
    ...pems,
  });
  const { refused, changed } = diffConfig(before, after);
  assert.deepEqual(
    refused.map((text) => text.split(':')[0]),
    // Each node loads from its own folder, with its own audit and keys files.
    ['proxy_protocol', 'operators.agent_check', 'workers', 'tls', 'audit.file', 'sessions.keys_file'],
  );
  assert.ok(changed.includes('operators.agent_weight'));
});
