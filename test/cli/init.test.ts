import assert from 'node:assert/strict';
import { chmodSync, chownSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parse } from 'yaml';
import { initFile } from '../../src/cli/init.ts';
import { containerPlaces, placesBeside } from '../../src/cli/init-places.ts';
import { buildDirectory } from '../../src/gateway.ts';
import { driverNames } from '../../src/webmail/registry.ts';
import { filesOf, someCertificate } from '../config/config.fixture.ts';
import { gatewayWith, postern, run } from './cli.fixture.ts';

const two = [
  '--public-url',
  'https://mail.example.org',
  '--backend',
  'a=mx1.test',
  'b=imap://mx2.test,https://mx2.test/mail/',
];

test('options are enough: what is written is what check accepts, and names every backend', async (t) => {
  const directory = filesOf(t, { 'ca.crt': someCertificate });
  const file = join(directory, 'postern.yaml');
  const options = [
    '--domain',
    'example.org',
    '--redis',
    'redis://redis.test:6379/0',
    '--ca',
    'ca.crt',
    '--listen',
    '0.0.0.0:80',
  ];
  const init = await run(['init', '-o', file, ...two, ...options]);
  assert.deepEqual([init.code, init.err], [0, '']);
  assert.deepEqual(readdirSync(directory).sort(), ['ca.crt', 'postern.yaml', 'users.map']);
  const check = await run(['check', '-c', file], { loadGateway: gatewayWith({ buildDirectory }) });
  assert.equal(check.code, 0, check.err);
  const written: unknown = parse(readFileSync(file, 'utf8'));
  assert.deepEqual(written, {
    listen: '0.0.0.0:80',
    public_url: 'https://mail.example.org',
    trusted_proxies: ['127.0.0.1'],
    operators: { listen: '127.0.0.1:9090', socket: 'state/postern.sock' },
    sessions: { redis: 'redis://redis.test:6379/0', keys_file: 'state/keys' },
    directory: { default_domain: 'example.org', sources: [{ type: 'map', file: 'users.map' }] },
    backend_defaults: { driver: 'roundcube', tls_ca_file: 'ca.crt' },
    backends: {
      a: { imap: 'imaps://mx1.test', webmail: 'http://mx1.test/' },
      b: { imap: 'imap://mx2.test', webmail: 'https://mx2.test/mail/' },
    },
  });
});

test('one backend needs no map of users', async (t) => {
  const directory = filesOf(t, {});
  const file = join(directory, 'postern.yaml');
  const init = await run([
    'init',
    '-o',
    file,
    '--public-url',
    'http://localhost:8080',
    '--backend',
    'only=mx.test',
    '--driver',
    'none',
  ]);
  assert.equal(init.code, 0, init.err);
  assert.deepEqual(readdirSync(directory), ['postern.yaml']);
  const lookup = await run(['check', '-c', file]);
  assert.match(lookup.out, /directory +1 static\n/);
});

for (const driver of driverNames) {
  test(`what init writes for ${driver} is what check accepts`, async (t) => {
    const directory = filesOf(t, {});
    const file = join(directory, 'postern.yaml');
    const init = await run(['init', '-o', file, ...two, '--driver', driver]);
    assert.deepEqual([init.code, init.err], [0, '']);
    const check = await run(['check', '-c', file], { loadGateway: gatewayWith({ buildDirectory }) });
    assert.deepEqual([check.code, check.err], [0, '']);
    assert.ok(check.out.includes(`2: 2 ${driver}`), check.out);
  });
}

test('for the driver header a secret is made that nobody else can read, and one that is there is kept', async (t) => {
  const directory = filesOf(t, {});
  const options = ['--public-url', 'http://localhost:8080', '--backend', 'a=mx.test', '--driver', 'header', '--force'];
  const secret = join(directory, 'header.secret');
  const init = () => run(['init', '-o', join(directory, 'postern.yaml'), ...options]);
  assert.match((await init()).out, /and \S+header\.secret: give the same secret to the webmail\./);
  const made = readFileSync(secret, 'utf8');
  assert.match(made, /^[0-9a-f]{64}\n$/);
  assert.equal(statSync(secret).mode & 0o777, 0o600);
  assert.doesNotMatch((await init()).out, /header\.secret/);
  assert.equal(readFileSync(secret, 'utf8'), made);
});

test('for the driver form it is said that its marks are an example', async (t) => {
  const file = join(filesOf(t, {}), 'postern.yaml');
  const { out } = await run(['init', '-o', file, ...two, '--driver', 'form']);
  assert.match(out, /The form in it is an example: .*docs\/webmails\/form\.md/);
  assert.match(readFileSync(file, 'utf8'), /# This is an example: your webmail has other fields and signs/);
});

test('a person is asked what no option says, and an empty answer takes the default', async (t) => {
  const file = join(filesOf(t, {}), 'postern.yaml');
  const asked: string[] = [];
  const answers = new Map([['Backends', 'a=mx1.test b=mx2.test']]);
  const ask = async (question: string) => {
    asked.push(question);
    return answers.get(question.split(',')[0] ?? '') ?? '';
  };
  const { code } = await run(['init', '-o', file, '--domain', 'example.org'], { ask });
  assert.equal(code, 0);
  assert.deepEqual(
    asked.map((question) => question.replace(/ ?[[(:].*/s, '')),
    [
      'The address that users type',
      'Listen on',
      'Redis URL',
      'Webmail',
      'CA certificates of the backends, PEM file',
      'Backends, as NAME=HOST separated by spaces',
    ],
  );
  assert.match(
    readFileSync(file, 'utf8'),
    /public_url: http:\/\/127\.0\.0\.1:8080|public_url: "http:\/\/127\.0\.0\.1:8080"/,
  );
});

test('a person who stops is not told of a defect, and nothing is written', async (t) => {
  const directory = filesOf(t, {});
  const interrupted = Object.assign(new Error('Aborted with Ctrl+C'), { name: 'AbortError' });
  const { code, err } = await run(['init', '-o', join(directory, 'postern.yaml')], {
    ask: () => Promise.reject(interrupted),
  });
  assert.deepEqual([code, err], [1, '\nStopped; nothing was changed.\n']);
  assert.deepEqual(readdirSync(directory), []);
});

test('a wrong answer is told at once, and the question is asked again', async (t) => {
  const directory = filesOf(t, {});
  const asked: string[] = [];
  const answers = [
    'mail.example.org',
    'https://mail.example.org',
    '127.0.0.1:80800',
    '127.0.0.1:8080',
    'example..org',
    'example.org',
    'http://redis',
    '',
    'squirrel',
    'none',
    'nowhere.crt',
    '',
    'a',
    'a=http://mx1,http://mx1/',
    'a=mx1.internal',
  ];
  const file = join(directory, 'new/postern.yaml');
  const { code, out, err } = await run(['init', '-o', file], {
    async ask(question) {
      asked.push(question);
      return answers.shift() ?? assert.fail(`asked too often: ${question}`);
    },
  });
  assert.deepEqual([code, err, answers], [0, '', []]);
  const told = out.split('\n').filter((line) => line.startsWith('"'));
  assert.deepEqual(
    told.map((line) => line.slice(0, line.indexOf(' '))),
    [
      '"mail.example.org"',
      '"127.0.0.1:80800"',
      '"example..org"',
      '"http://redis"',
      '"squirrel"',
      '"nowhere.crt"',
      '"a"',
      '"a=http://mx1,http://mx1/"',
    ],
  );
  for (const line of told) assert.match(line, /^"\S+" .{12}/);
  assert.equal(asked.length, 15);
  assert.match(readFileSync(file, 'utf8'), /public_url: https:\/\/mail\.example\.org/);
});

test('a configuration that is wrong leaves no folder behind', async (t) => {
  const directory = filesOf(t, {});
  const file = join(directory, 'etc/postern/postern.yaml');
  const { code, err } = await run(['init', '-o', file, '--public-url', 'nonsense', '--backend', 'a=mx1.internal']);
  assert.equal(code, 2);
  assert.match(err, /^Nothing was written:\n {2}public_url: /);
  assert.deepEqual(readdirSync(directory), []);
});

test('where nobody can be asked, what is missing is said', async () => {
  const { code, err } = await run(['init', '--domain', 'example.org', '-o', '/nowhere/postern.yaml']);
  assert.equal(code, 2);
  assert.match(err, /give at least --public-url and --backend/);
});

test('a folder that does not exist yet is made', async (t) => {
  const file = join(filesOf(t, {}), 'etc/postern/postern.yaml');
  const { code, err } = await run(['init', '-o', file, ...two]);
  assert.deepEqual([code, err], [0, '']);
  assert.deepEqual(readdirSync(dirname(file)).sort(), ['postern.yaml', 'users.map']);
});

test('a file that exists is not written over without --force', async (t) => {
  const file = join(filesOf(t, { 'postern.yaml': 'mine' }), 'postern.yaml');
  const { code, err } = await run(['init', '-o', file, ...two]);
  assert.equal(code, 2);
  assert.match(err, /exists: name another file with --output, or add --force/);
  assert.equal(readFileSync(file, 'utf8'), 'mine');
  assert.equal((await run(['init', '-o', file, '--force', ...two])).code, 0);
  assert.match(readFileSync(file, 'utf8'), /^# Postern\./);
});

test('what check would refuse is not written, and a map of users that exists stays', async (t) => {
  const directory = filesOf(t, { 'users.map': 'carol@example.org: a\n' });
  const file = join(directory, 'postern.yaml');
  writeFileSync(file, 'mine');
  const bad = ['--public-url', 'mail.example.org', '--backend', 'a b=mx1', 'b=mx2'];
  const { code, err } = await run(['init', '--force', '-o', file, ...bad.slice(0, 2), '--backend', 'a}=mx1', 'b=mx2']);
  assert.equal(code, 2);
  assert.match(err, /Nothing was written:\n {2}public_url: "mail\.example\.org" is not a public URL/);
  assert.match(err, /"a}" is not a valid name/);
  assert.equal(readFileSync(file, 'utf8'), 'mine');
  assert.deepEqual(readdirSync(directory).sort(), ['postern.yaml', 'users.map']);
  assert.equal((await run(['init', '--force', '-o', file, ...bad])).code, 2);
});

test('no link that stands in the folder leads init elsewhere', async (t) => {
  const directory = filesOf(t, { mine: 'mine' });
  const file = join(directory, 'postern.yaml');
  symlinkSync(join(directory, 'mine'), `${file}.draft`);
  symlinkSync(join(directory, 'new'), join(directory, 'users.map'));
  assert.notEqual((await run(['init', '-o', file, ...two])).code, 0);
  assert.equal(readFileSync(join(directory, 'mine'), 'utf8'), 'mine');
  assert.ok(!readdirSync(directory).includes('new'));
});

test('whatever is answered stands in the file as that value and nothing else', () => {
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.constantFrom('yes', '# x', '{a: b}', '"', 'a: b', '- a', '*x', 'null', '1', 'a:'),
  );
  fc.assert(
    fc.property(text, text, text, (publicUrl, domain, name) => {
      const written: unknown = parse(
        initFile({
          publicUrl,
          listen: '127.0.0.1:80',
          domain: `d${domain}`,
          redis: '',
          driver: 'none',
          caFile: '',
          places: placesBeside('/somewhere/postern.yaml'),
          backends: [{ name: `n${name}`, imap: publicUrl, webmail: domain }],
        }),
      );
      assert.deepEqual(written, {
        listen: '127.0.0.1:80',
        public_url: publicUrl,
        trusted_proxies: publicUrl.startsWith('https:') ? ['127.0.0.1'] : [],
        operators: { listen: '127.0.0.1:9090', socket: 'state/postern.sock' },
        sessions: { keys_file: 'state/keys' },
        directory: { default_domain: `d${domain}`, sources: [{ type: 'static', backend: `n${name}` }] },
        backend_defaults: { driver: 'none' },
        backends: { [`n${name}`]: { imap: publicUrl, webmail: domain } },
      });
    }),
  );
});

/** The keys of a configuration that name something the gateway writes, or an address of its own. */
function placesIn(text: string): object {
  const { listen, operators, sessions, audit }: Record<string, unknown> = parse(text);
  return { listen, operators, sessions, ...(audit === undefined ? {} : { audit }) };
}

const someAnswers = {
  publicUrl: 'http://localhost:8080',
  listen: '127.0.0.1:8080',
  domain: '',
  redis: '',
  driver: 'none',
  caFile: '',
  backends: [{ name: 'a', imap: 'imaps://mx.test', webmail: 'http://mx.test/' }],
};

test('in /etc/postern nothing that the gateway writes is under /etc', () => {
  const places = placesBeside('/etc/postern/postern.yaml');
  assert.deepEqual(placesIn(initFile({ ...someAnswers, places })), {
    listen: '127.0.0.1:8080',
    operators: { listen: '127.0.0.1:9090', socket: '/run/postern/postern.sock', socket_access: 'group' },
    sessions: { store_file: '/var/lib/postern/postern.sqlite', keys_file: '/var/lib/postern/keys' },
    audit: { file: '/var/log/postern/audit.jsonl' },
  });
});

test('with --container it listens for the platform, and keeps what it writes on one volume', async (t) => {
  const file = join(filesOf(t, {}), 'postern.yaml');
  const { code, err, out } = await run(['init', '--container', '-o', file, ...two, '--driver', 'none']);
  assert.deepEqual([code, err], [0, '']);
  assert.match(out, /Next: postern check -c \S+ --online, then start the container without a command\n$/);
  assert.deepEqual(placesIn(readFileSync(file, 'utf8')), {
    listen: '0.0.0.0:8080',
    operators: { listen: '0.0.0.0:9090', socket: '/var/lib/postern/postern.sock' },
    sessions: { store_file: '/var/lib/postern/postern.sqlite', keys_file: '/var/lib/postern/keys' },
    audit: { file: '/var/lib/postern/audit.jsonl' },
  });
});

test('the command of docs/containers.md has it believe a balancer outside the container', () => {
  const page = readFileSync(new URL('../../docs/containers.md', import.meta.url), 'utf8');
  const [, found = '', by = ''] = /^sed -i 's\/(.*?)\/(.*?)\/' \/etc\/postern\/postern\.yaml$/m.exec(page) ?? [];
  const publicUrl = 'https://webmail.example.org';
  const text = initFile({ ...someAnswers, publicUrl, places: containerPlaces(false) });
  const { trusted_proxies: trusted }: Record<string, unknown> = parse(text.replace(new RegExp(found, 'm'), by));
  assert.deepEqual(trusted, ['172.17.0.1']);
});

test('containers that share a Redis take their keys from a mounted secret', () => {
  const text = initFile({ ...someAnswers, redis: 'redis://redis:6379/0', places: containerPlaces(true) });
  const { sessions }: Record<string, unknown> = parse(text);
  assert.deepEqual(sessions, { redis: 'redis://redis:6379/0', keys_file: '/run/secrets/postern-keys' });
});

test('what root writes into a folder of a group may be read by that group, secrets too', async (t) => {
  const directory = filesOf(t, {});
  chownSync(directory, 0, 4711);
  const options = [
    '--public-url',
    'http://localhost:8080',
    '--backend',
    'a=mx1.test',
    'b=mx2.test',
    '--driver',
    'header',
  ];
  assert.equal((await run(['init', '-o', join(directory, 'postern.yaml'), ...options])).code, 0);
  for (const name of ['postern.yaml', 'header.secret', 'users.map']) {
    const { mode, uid, gid } = statSync(join(directory, name));
    assert.deepEqual([name, mode & 0o777, uid, gid], [name, 0o640, 0, 4711]);
  }
});

test('a user who may not read the configuration is told who that is, and what to do', async (t) => {
  const directory = filesOf(t, { 'postern.yaml': 'listen: 127.0.0.1:8080' });
  const file = join(directory, 'postern.yaml');
  chmodSync(directory, 0o755);
  chmodSync(file, 0o640);
  const { code, err } = await postern(['serve', '-c', file], { user: 'nobody' });
  assert.equal(code, 2);
  assert.equal(
    err,
    `${file}:1:1 the user nobody may not read ${file}: if the gateway runs as nobody, ` +
      'let a group of that user read the file (chgrp GROUP, chmod 640); else run the command with sudo\n1 problem.\n',
  );
});
