import { type ImapInput, ImapSyntaxError } from './input.ts';

/** One argument of a command. An atom keeps its case and, with `[`, everything up to the matching `]`. */
export type Argument =
  | { readonly kind: 'atom'; readonly text: string }
  | { readonly kind: 'string'; readonly bytes: Buffer }
  | { readonly kind: 'list'; readonly items: readonly Argument[] };

export interface Command {
  readonly tag: string;
  /** In upper case; `UID FETCH` and `UID STORE` keep their prefix. */
  readonly verb: string;
  readonly args: readonly Argument[];
}

const maxLiteralBytes = 96 * 1024 * 1024;
const maxDepth = 20;
const literalAtEnd = /\{(\d{1,10})(\+?)\}$/;
/** A quoted string, a bracket, or an atom, which may hold one section in brackets. */
const pieces = / +|[()]|"((?:[^"\\]|\\["\\])*)"|[^\s()"[{]+(?:\[[^\]]*\][^\s()"[]*)?/y;

/**
 * Reads one command with its literals (RFC 3501, 4.3; RFC 7888). `ready` is called when the client waits to be told
 * that it may send a literal. Answers `undefined` when the client is gone. A command that breaks the grammar is
 * returned as its tag and an {@link ImapSyntaxError}, so that it can be answered.
 */
export async function readCommand(
  input: ImapInput,
  ready: () => void,
): Promise<Command | { readonly tag: string; readonly problem: ImapSyntaxError } | undefined> {
  const parts: (string | Buffer)[] = [];
  for (;;) {
    const line = await input.line();
    if (line === undefined) return undefined;
    const literal = literalAtEnd.exec(line);
    parts.push(literal === null ? line : line.slice(0, literal.index));
    if (literal === null) break;
    const size = Number(literal[1]);
    if (size > maxLiteralBytes) throw new ImapSyntaxError('Literal too large');
    if (literal[2] === '') ready();
    const bytes = await input.bytes(size);
    if (bytes === undefined) return undefined;
    parts.push(bytes);
  }
  const tag = /^[^\s(){%*"\\+]+(?= )/.exec(String(parts[0]))?.[0] ?? '*';
  try {
    return parseCommand(tag, parts);
  } catch (error) {
    if (error instanceof ImapSyntaxError) return { tag, problem: error };
    throw error;
  }
}

function parseCommand(tag: string, parts: readonly (string | Buffer)[]): Command {
  if (tag === '*') throw new ImapSyntaxError('A command begins with a tag');
  const [, first, ...rest] = parseArguments(parts);
  if (first?.kind !== 'atom') throw new ImapSyntaxError('A verb must follow the tag');
  const verb = first.text.toUpperCase();
  if (verb !== 'UID') return { tag, verb, args: rest };
  const [second, ...args] = rest;
  if (second?.kind !== 'atom') throw new ImapSyntaxError('UID needs a command');
  return { tag, verb: `UID ${second.text.toUpperCase()}`, args };
}

/** Parses the text of a command in which literals stand as buffers between the lines. */
export function parseArguments(parts: readonly (string | Buffer)[]): readonly Argument[] {
  const open: Argument[][] = [[]];
  const add = (argument: Argument): void => void open.at(-1)?.push(argument);
  for (const part of parts) {
    if (typeof part !== 'string') {
      add({ kind: 'string', bytes: part });
      continue;
    }
    for (let at = 0; at < part.length; at = pieces.lastIndex) {
      pieces.lastIndex = at;
      const piece = pieces.exec(part);
      if (piece === null) throw new ImapSyntaxError(`Unexpected character at ${at}`);
      const [text, quoted] = piece;
      if (quoted !== undefined) add({ kind: 'string', bytes: Buffer.from(quoted.replace(/\\(.)/g, '$1'), 'latin1') });
      else if (text === '(') {
        if (open.push([]) > maxDepth) throw new ImapSyntaxError('Lists nested too deeply');
      } else if (text === ')') {
        const items = open.pop();
        if (items === undefined || open.length === 0) throw new ImapSyntaxError('Unexpected )');
        add({ kind: 'list', items });
      } else if (!text.startsWith(' ')) add({ kind: 'atom', text });
    }
  }
  const [done, ...unclosed] = open;
  if (done === undefined || unclosed.length > 0) throw new ImapSyntaxError('Missing )');
  return done;
}

/** The text of an atom or string, as UTF-8. Throws {@link ImapSyntaxError} for a list and for a missing argument. */
export function textOf(argument: Argument | undefined): string {
  if (argument === undefined) throw new ImapSyntaxError('Missing argument');
  if (argument.kind === 'list') throw new ImapSyntaxError('Unexpected list');
  const bytes = argument.kind === 'atom' ? Buffer.from(argument.text, 'latin1') : argument.bytes;
  return bytes.toString('utf8');
}

/** The members of a list. A single argument counts as a list of one. */
export function itemsOf(argument: Argument | undefined): readonly Argument[] {
  if (argument === undefined) throw new ImapSyntaxError('Missing argument');
  return argument.kind === 'list' ? argument.items : [argument];
}
