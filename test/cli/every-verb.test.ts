import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { Command } from 'commander';
import { loadCommands } from '../../src/cli/commands.ts';
import { commandsUnder } from '../../src/cli/completion.ts';
import { addServe } from '../../src/cli/serve.ts';
import { type StandbySite, startStandbySite } from '../gateway/standby-site.fixture.ts';
import { postern, printedTo, run } from './cli.fixture.ts';

const program = new Command('postern');
for (const add of [addServe, ...(await loadCommands())]) {
  add(
    program,
    {
      print() {},
      complain() {},
      lines: () => Readable.from([]),
      env: {},
      signals: new EventEmitter(),
      exit() {},
      loadGateway: () => Promise.reject(new Error('unused')),
    },
    () => {},
  );
}
/** Every command that is carried out, by its words after `postern`. */
const verbs = new Map(
  commandsUnder(program, 'postern')
    .filter(([, command]) => command.commands.length === 0)
    .map(([path, command]) => [path.replace('postern ', ''), command] as const),
);
const choicesOf = (command: Command) => command.options.find(({ long }) => long === '--format')?.argChoices;

const because = ['--reason', 'a test'];
/** What each verb is given beside its words and `-c`. */
const given: Readonly<Record<string, readonly string[]>> = {
  lookup: ['alice'],
  explain: ['alice'],
  'directory drop': ['alice'],
  'backend set': ['a', 'READY', ...because],
  'backend activate': ['a', 'a', ...because],
  'user move': ['alice', '--to', 'b', '--dry-run', ...because],
  'user lock': ['alice', ...because],
  'user unlock': ['alice', ...because],
  'session end': ['--user', 'alice', ...because],
  kick: ['alice', ...because],
  drain: ['--undo'],
  'stats erase': ['alice', ...because],
};
/** Verbs that this site cannot carry out, and why; they print by the same way as their neighbours. */
const elsewhere = new Map([
  ['serve', 'its log has a writer of its own: test/observe'],
  ['directory preview', 'the site has no hash; it prints as compare does'],
  ['keys add', 'would change the keys of the site'],
  ['keys promote', 'would change the keys of the site'],
  ['keys retire', 'would change the keys of the site'],
  ['move stop', 'nobody is being moved'],
  ['penalty lift', 'nobody has a penalty'],
  ['staff enrol', 'the site has no console'],
  ['staff reset', 'the site has no console'],
  ['console', 'the site has no console'],
]);
/** Verbs whose answer is words, and no table. */
const worded = new Set(['reload', 'audit verify', 'console']);

describe('every verb', () => {
  let site: StandbySite;
  let folder: string;
  before(async () => {
    site = await startStandbySite();
    folder = dirname(site.configFile);
  });
  after(() => site[Symbol.asyncDispose]());

  /** The command line of a verb. Those that take no `-c` are complete. */
  function lineOf(verb: string): readonly string[] {
    const words = verb.split(' ');
    const whole: Readonly<Record<string, readonly string[]>> = {
      init: ['--public-url', 'http://127.0.0.1:1', '--backend', 'a=127.0.0.1', '--output', join(folder, 'made.yaml')],
      completion: ['bash'],
      'directory compare': [site.configFile, site.configFile, 'alice'],
      'keys create': [join(folder, 'made-keys')],
      'token create': ['monitoring'],
    };
    return whole[verb] === undefined
      ? [...words, ...(given[verb] ?? []), '-c', site.configFile]
      : [...words, ...whole[verb]];
  }

  it('is a command that there is, where this test names one', () => {
    const named = [...Object.keys(given), ...elsewhere.keys(), ...worded];
    assert.deepEqual(
      named.filter((verb) => !verbs.has(verb)),
      [],
    );
  });

  it('is completed by bash, with all its options', async () => {
    const { out } = await run(['completion', 'bash']);
    const offered = out.slice(out.indexOf('local -A options=('), out.indexOf('local -A values=('));
    const lacking = [...verbs].flatMap(([verb, { options }]) => {
      const words =
        /^ +\[[^\]]+\]='(.*)'$/
          .exec(offered.split('\n').find((line) => line.includes(`['postern ${verb}']`)) ?? '')?.[1]
          ?.split(' ') ?? [];
      return options
        .flatMap(({ short, long }) => [short, long])
        .filter((flag) => flag !== undefined && !words.includes(flag))
        .map((flag) => `${verb} ${flag}`);
    });
    assert.deepEqual(lacking, []);
    for (const verb of verbs.keys()) assert.ok(offered.includes(`['postern ${verb}']`), verb);
  });

  it('has CSV and JSON beside its table, but for those whose answer is words', () => {
    const lacking = [...verbs].filter(([verb, command]) => {
      const choices = choicesOf(command);
      return (
        choices?.includes('table') === true &&
        !worded.has(verb) &&
        !['csv', 'json'].every((one) => choices.includes(one))
      );
    });
    assert.deepEqual(
      lacking.map(([verb]) => verb),
      [],
    );
  });

  for (const [verb, command] of verbs) {
    if (elsewhere.has(verb) || choicesOf(command)?.includes('csv') !== true) continue;
    it(`${verb} gives a head and rows as CSV, a value as JSON, and times that programs read`, async () => {
      const isHere = verb !== 'directory compare' && verb !== 'lookup' && verb !== 'explain' && verb !== 'check';
      const asked = isHere ? run : postern;
      const csv = await asked([...lineOf(verb), '--format', 'csv']);
      assert.match(csv.out, /^[a-z0-9_]+(?:,[a-z0-9_]+)+\r\n/, csv.err);
      assert.doesNotMatch(csv.out, / ago\b|,in \d/);
      const { out, err } = await asked([...lineOf(verb), '--format', 'json']);
      assert.doesNotThrow(() => JSON.parse(out), `${out}${err}`);
      assert.doesNotMatch(out, / ago\b/);
    });
  }

  for (const verb of verbs.keys()) {
    if (elsewhere.has(verb)) continue;
    it(`${verb} says when the disk that takes its output is full, and ends with 3`, async () => {
      const { code, err } = await printedTo('/dev/full', lineOf(verb));
      assert.match(err, /The output could not be written, so it is not whole: the disk is full\.\n$/);
      assert.equal(code, 3, err);
    });
  }

  it('says it of its help, too', async () => {
    for (const args of [['--help'], ['--version'], ['backend', 'set', '--help']]) {
      const { code, err } = await printedTo('/dev/full', args);
      assert.deepEqual([code, err], [3, 'The output could not be written, so it is not whole: the disk is full.\n']);
    }
  });
});
