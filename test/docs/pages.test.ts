import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { existsSync, globSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { Command, CommanderError } from 'commander';
import { loadCommands } from '../../src/cli/commands.ts';
import { addServe } from '../../src/cli/serve.ts';
import { pages, placeIn, root, textOf } from './pages.fixture.ts';

interface ShownCommand {
  readonly at: string;
  readonly line: string;
}

/**
 * The commands in a page's sentences that are more than the name of a command; commands.test.ts runs those of its
 * examples. Those that stand for several, such as `audit list|verify`, nobody can type.
 */
function commandsOf(page: string): readonly ShownCommand[] {
  const text = textOf(page);
  return [...text.matchAll(/`postern ([a-z][^`]*)`/g)]
    .map(({ index, 1: line = '' }) => ({ at: placeIn(page, text, index), line: line.replaceAll('\n', ' ') }))
    .filter(({ line }) => !/^[a-z]+( [a-z]+)?$/.test(line) && !/\w\|\w/.test(line));
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
  const nobody = {
    print: () => {},
    complain: () => {},
    lines: () => Readable.from([]),
    env: {},
    signals: new EventEmitter(),
    exit: () => {},
    loadGateway: () => Promise.reject(new Error('nothing is run here')),
  };
  for (const add of [addServe, ...(await loadCommands())]) add(program, nobody, () => {});
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

/** Lines of prose that are longer than the others: a table, an example and what `npm run docs` or a bench writes may be. */
function overlongLines(page: string): readonly string[] {
  const prose = textOf(page)
    .replace(/<!-- (measured: begin|abilities)[^]*?<!-- (measured: end|\/abilities) -->/g, '')
    .replace(/^ *```[^]*?^ *```$/gm, '');
  return prose.split('\n').filter((line) => line.length > 140 && !/^ *\|/.test(line));
}

describe('the documentation', () => {
  for (const page of pages.filter(
    (path) => !['docs/configuration.md', 'docs/log.md', 'docs/metrics.md'].includes(path),
  )) {
    it(`${page} is wrapped at 140 characters`, () => assert.deepEqual(overlongLines(page), []));
  }

  for (const page of pages) {
    it(`${page} points only to files that exist`, () => {
      const text = textOf(page);
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

  it('shows every picture of docs/images, each with its description', () => {
    const shown = pages.flatMap((page) =>
      [...textOf(page).matchAll(/!\[([^\]]*)\]\(([^)]+)\)/g)].map(([, description = '', target = '']) => {
        assert.notEqual(description, '', `${page}: ${target}`);
        return join(dirname(page), target);
      }),
    );
    const pictures = globSync('docs/images/*', { cwd: root });
    assert.deepEqual(
      pictures.filter((picture) => !shown.includes(picture)),
      [],
    );
  });

  it('opens with a README that is read in five minutes', () => {
    const lines = textOf('README.md').split('\n').length;
    assert.ok(lines <= 121, `README.md has ${lines} lines`);
  });
});
