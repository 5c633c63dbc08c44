import assert from 'node:assert/strict';
import { chmodSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Command } from 'commander';
import { loadCommands } from '../../src/cli/commands.ts';
import type { CommandEnvironment } from '../../src/cli/environment.ts';
import { filesOf, smallest } from '../config/config.fixture.ts';
import { runProgram } from '../programs.ts';
import { postern, run } from './cli.fixture.ts';

describe('the command as a process', () => {
  test('--version is the one of the package, with its commit and Node', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    const { code, out, err } = await postern(['--version']);
    assert.deepEqual({ code, err }, { code: 0, err: '' });
    assert.match(out, /^\S+ \(commit (?:[0-9a-f]{12}|unknown), Node \d+\.\d+\.\d+\)\n$/);
    assert.ok(out.startsWith(`${version} `), out);
  });

  test('--help teaches with examples and tells the exit codes', async () => {
    const { code, out } = await postern(['--help']);
    assert.equal(code, 0);
    for (const word of [
      'serve',
      'check',
      'lookup',
      'explain',
      'directory',
      'init',
      'keys',
      'Examples:',
      'Exit codes: 0 done',
    ])
      assert.ok(out.includes(word), word);
  });

  test('check of a good configuration ends with 0 and says what would run', async (t) => {
    const cwd = filesOf(t, { 'postern.yaml': smallest() });
    const { code, out, err } = await postern(['check', '-c', 'postern.yaml'], { cwd });
    assert.deepEqual([code, err], [0, '']);
    assert.match(out, /^postern\.yaml is valid\.\n {2}public +http:\/\/127\.0\.0\.1:8080\n/);
    assert.match(out, /backends +1: 1 none\n$/);
  });

  test('check of a bad one ends with 2 and names the problems on standard error, as the file was named', async (t) => {
    const cwd = filesOf(t, { 'postern.yaml': smallest('lisen: 1\nlog: { level: loud }') });
    assert.deepEqual(await postern(['check', '-c', 'postern.yaml'], { cwd }), {
      code: 2,
      out: '',
      err:
        'postern.yaml:5:1 lisen: is not a known key: did you mean listen?\n' +
        'postern.yaml:6:15 log.level: "loud" is not known here: write debug, info, warn, error or silent\n' +
        '2 problems.\n',
    });
  });

  test('lookup asks the real directory: 0 when all are found, 1 when one is unknown or cannot be a name', async (t) => {
    const text = smallest().replace('{ type: static, backend: a }', '{ type: map, file: users.map }');
    const cwd = filesOf(t, { 'postern.yaml': text, 'users.map': 'alice@mail.test: a\n' });
    const found = await postern(['lookup', '-c', 'postern.yaml', 'Alice@MAIL.test'], { cwd });
    assert.deepEqual([found.code, found.err], [0, '']);
    assert.match(
      found.out,
      /^USER +BACKEND +SOURCE +CANONICAL USER +ANSWER\nAlice@MAIL\.test +a +1 map +alice@mail\.test +found\n$/,
    );
    const unknown = await postern(['lookup', '-c', 'postern.yaml', '--format', 'json', 'zoe@mail.test', 'a*b'], {
      cwd,
    });
    assert.equal(unknown.code, 1);
    assert.deepEqual(JSON.parse(unknown.out), [
      { typed: 'zoe@mail.test', answer: 'unknown', user: 'zoe@mail.test' },
      { typed: 'a*b', answer: 'malformed', why: 'forbidden-character' },
    ]);
  });

  test('under an old Node the command ends with 2 and names the one that npm brought along', async () => {
    const pretend = "Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.20.2'}})";
    const nodeArgs = ['--import', `data:text/javascript,${encodeURIComponent(pretend)}`];
    const { code, out, err } = await postern(['--version'], { nodeArgs });
    assert.deepEqual([code, out], [2, '']);
    assert.match(
      err,
      /^Postern needs Node 24 or newer; this is Node 20\.20\.2\. npm brought one along: \S+ \S+ ARGUMENTS\n$/,
    );
    const [node = '', program = ''] = err.match(/\/\S+/g) ?? [];
    assert.match(await runProgram(node, [program, '--version']), /^\d+\.\d+\.\d+/);
  });
});

describe('wrong usage ends with 2 and says what would be right', () => {
  const wrong: readonly (readonly [args: readonly string[], says: RegExp])[] = [
    [['chek'], /unknown command 'chek'\n\(Did you mean check\?\)/],
    [['help', 'chek'], /unknown command 'chek'\n\(Did you mean check\?\)/],
    [['backend', 'help', 'lst'], /unknown command 'lst'\n\(Did you mean list\?\)/],
    [['directory', 'compare', '/old.yaml', '/new.yaml'], /^there is no file \/old\.yaml: name another\n$/],
    [['check', '--onlin'], /unknown option '--onlin'\n\(Did you mean --online\?\)/],
    [['lookup'], /missing required argument 'user'/],
    [['check', '--format', 'xml'], /Allowed choices are table, csv, json/],
    [[], /Usage: postern/],
  ];
  for (const [args, says] of wrong) {
    test(`postern ${args.join(' ')}`, async () => {
      const { code, err } = await run(args);
      assert.match(err, says);
      assert.equal(code, 2);
    });
  }
});

test('check prints its problems as its answer where a program reads it', async (t) => {
  const file = join(filesOf(t, { 'postern.yaml': smallest('log: { level: loud }') }), 'postern.yaml');
  const { code, out } = await run(['check', '-c', file, '--format', 'json']);
  assert.equal(code, 2);
  assert.deepEqual(JSON.parse(out), {
    file,
    valid: false,
    problems: [
      {
        file,
        line: 5,
        column: 15,
        path: 'log.level',
        text: '"loud" is not known here: write debug, info, warn, error or silent',
      },
    ],
  });
});

test('check takes a second look at what is allowed', async (t) => {
  const operators = 'operators: { listen: 0.0.0.0:9090 }';
  const text = smallest(`${operators}\nsessions: { accept_unsigned_until: "2999-01-01T00:00:00Z" }`).replace(
    'http://127.0.0.1:8080',
    '[http://mail.test, https://mail.test]',
  );
  const file = join(filesOf(t, { 'postern.yaml': text }), 'postern.yaml');
  chmodSync(file, 0o666);
  const { out } = await run(['check', '-c', file]);
  assert.deepEqual(out.match(/^Note: .*$/gm), [
    `Note: every user may change ${file}: run: chmod o-w ${file}.`,
    'Note: sessions.accept_unsigned_until 2999-01-01T00:00:00.000Z is far off: until then, who can write to the store can forge states and prolong sessions; write the time of the upgrade plus absolute_timeout.',
    'Note: http://mail.test is not HTTPS: passwords cross the network in the clear.',
    'Note: public_url is HTTPS, but trusted_proxies is empty: list the load balancer that ends TLS, or its headers are not believed.',
    'Note: operators.listen 0.0.0.0:9090 is not on loopback: make sure that only operators can reach it.',
  ]);
});

test('check says that Postfix cannot send the key', async (t) => {
  const maps = 'socketmap: { listen: 10.0.0.1:9093 }, tcp_table: { listen: 127.0.0.1:9094 }, domains: [example.test]';
  const text = smallest(`directory_service: { listen: 127.0.0.1:9092, ${maps} }`);
  const { out } = await run(['check', '-c', join(filesOf(t, { 'postern.yaml': text }), 'postern.yaml')]);
  assert.match(
    out,
    /^Note: directory_service\.socketmap 10\.0\.0\.1:9093 takes no key, since Postfix cannot send one: any host in directory_service\.allow can find out/m,
  );
  assert.doesNotMatch(out, /tcp_table/);
});

const never = (): never => assert.fail('nothing is run here');
const signals = { on: never, off: never };
const silent: CommandEnvironment = {
  print: never,
  complain: never,
  lines: never,
  env: {},
  signals,
  exit: never,
  loadGateway: never,
};
function namesOf(adds: Awaited<ReturnType<typeof loadCommands>>): readonly string[] {
  const program = new Command();
  for (const add of adds) add(program, silent, () => {});
  return program.commands.map((command) => command.name());
}

test('each command is made by the module that is loaded for it alone', async () => {
  const all = namesOf(await loadCommands());
  assert.ok(all.length > 15);
  for (const name of all) {
    const own = namesOf(await loadCommands(name));
    assert.ok(own.includes(name), name);
    assert.ok(name === 'completion' || own.length <= 3, `${name} loads ${own.join(', ')}`);
  }
});
