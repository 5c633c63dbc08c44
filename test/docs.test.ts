import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError } from 'commander';
import { parse, stringify } from 'yaml';
import { otherCommands } from '../src/cli/commands.ts';
import { addServe } from '../src/cli/serve.ts';
import { problemsOf } from './config/config.fixture.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const pages = globSync('{*.md,docs/**/*.md,integrations/**/*.md}', { cwd: root });

/** The YAML examples of a page, each with the line that it begins on. */
function examplesOf(page: string): readonly { readonly at: string; readonly text: string }[] {
  const text = readFileSync(join(root, page), 'utf8');
  return [...text.matchAll(/^( *)```yaml\n([\s\S]*?)^ *```$/gm)].map(({ index, 1: indent = '', 2: example = '' }) => ({
    at: `${page}:${text.slice(0, index).split('\n').length}`,
    text: example.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  }));
}

const backendAt = (host: string) => ({ imap: `imaps://${host}`, webmail: `http://${host}/`, driver: 'none' });
const backends = Object.fromEntries(['a', 'b', 'b17', 'old'].map((name) => [name, backendAt(`${name}.test`)]));

/** The example as a whole configuration. Missing sections are as small as possible. */
function completed(example: object): string {
  const named: { directory?: object; backends?: object } = example;
  return stringify({
    public_url: 'http://127.0.0.1:8080',
    ...example,
    directory: { sources: [{ type: 'static', backend: 'a' }], ...named.directory },
    backends: { ...backends, ...named.backends },
  });
}

interface ShownCommand {
  readonly at: string;
  readonly line: string;
}

/**
 * The commands that a page tells people to type: lines of its examples, and what stands in its sentences with more than
 * the name of a command. Those that stand for several, such as `audit list|verify`, nobody can type.
 */
function commandsOf(page: string): readonly ShownCommand[] {
  const text = readFileSync(join(root, page), 'utf8');
  const inLines = [...text.matchAll(/^ *(?:\$ )?postern ([a-z].*)$/gm)];
  const inSentences = [...text.matchAll(/`postern ([a-z][^`]*)`/g)].filter(
    ([, line = '']) => !/^[a-z]+( [a-z]+)?$/.test(line),
  );
  return [...inLines, ...inSentences]
    .map(({ index, 1: line = '' }) => ({ at: `${page}:${text.slice(0, index).split('\n').length}`, line }))
    .filter(({ line }) => !/\w\|\w/.test(line));
}

/** The words of a command line, split as a shell does, without redirections. */
function argumentsOf(line: string): readonly string[] {
  const typed = line.replace(/\s+#.*$/, '').replace(/\s+[<>|].*$/, '');
  return [...typed.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

/** The problem of a command line; undefined if there is none. The command is not run. */
async function refusalOf(line: string): Promise<string | undefined> {
  const said: string[] = [];
  const program = new Command('postern');
  const output = { writeOut: () => {}, writeErr: (text: string) => void said.push(text) };
  program.exitOverride().configureOutput(output);
  const environment = {
    print: () => {},
    complain: () => {},
    lines: () => Readable.from([]),
    env: {},
    signals: new EventEmitter(),
    exit: () => {},
    loadGateway: () => Promise.reject(new Error('nothing is run here')),
  };
  for (const add of [addServe, ...otherCommands]) add(program, environment, () => {});
  idle(program);
  try {
    await program.parseAsync(argumentsOf(line), { from: 'user' });
    return undefined;
  } catch (error) {
    if (error instanceof CommanderError) return said.join('') || error.message;
    throw error;
  }
}

/** Keeps a command's arguments, and removes its action. */
function idle(command: Command): void {
  command.exitOverride();
  if (command.commands.length === 0) command.action(() => {});
  for (const child of command.commands) idle(child);
}

/** Errors about what a page cannot contain: files beside the configuration, and variables. */
const environment = /there is no file|the environment variable \w+ is not set/;

/** Lines of prose that are longer than the others: a table, an example and what `npm run docs` or a bench writes may be. */
function overlongLines(page: string): readonly string[] {
  const prose = readFileSync(join(root, page), 'utf8')
    .replace(/<!-- (measured: begin|abilities)[^]*?<!-- (measured: end|\/abilities) -->/g, '')
    .replace(/^ *```[^]*?^ *```$/gm, '');
  return prose.split('\n').filter((line) => line.length > 140 && !/^ *\|/.test(line));
}

describe('the documentation', () => {
  for (const page of pages.filter((path) => !['docs/configuration.md', 'docs/log.md'].includes(path))) {
    it(`${page} is wrapped at 140 characters`, () => assert.deepEqual(overlongLines(page), []));
  }

  for (const page of pages) {
    it(`${page} points only to files that exist`, () => {
      const text = readFileSync(join(root, page), 'utf8');
      const targets = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, target = '']) => target);
      const missing = targets
        .filter((target) => !/^[a-z]+:/.test(target))
        .filter((target) => !existsSync(join(root, dirname(page), target)));
      assert.deepEqual(missing, []);
    });
  }

  for (const { at, line } of pages.flatMap(commandsOf)) {
    it(`${at} shows a command that is taken as it stands: postern ${line}`, async () => {
      assert.equal(await refusalOf(line), undefined);
    });
  }

  // The examples of the reference have their own test.
  for (const { at, text } of pages.filter((page) => page !== 'docs/configuration.md').flatMap(examplesOf)) {
    it(`${at} shows a configuration that is accepted`, async (t) => {
      const example: unknown = parse(text);
      // A comment alone, or the lines of one backend.
      if (example === null || typeof example !== 'object' || 'driver' in example) return;
      const problems = await problemsOf(t, { 'postern.yaml': completed(example) }, { checksDrivers: true });
      assert.deepEqual(
        problems.filter((problem) => !environment.test(problem)),
        [],
      );
    });
  }

  it('opens with a README that is read in five minutes', () => {
    const lines = readFileSync(join(root, 'README.md'), 'utf8').split('\n').length;
    assert.ok(lines <= 121, `README.md has ${lines} lines`);
  });
});
