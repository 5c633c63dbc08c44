import type { z } from 'zod';
import { PosternError } from '../core/error.ts';
import { problemsIn } from '../schema/issues.ts';
import type { Path, YamlFile } from './yaml-file.ts';

/** One problem in a configuration. */
export interface ConfigProblem {
  /** The file as it was named: on the command line, or by `include`. */
  readonly file: string;
  /** Line and column count from 1. */
  readonly line: number;
  readonly column: number;
  /** The key, such as `sessions.idle_timeout`; empty when the file itself is wrong. */
  readonly path: string;
  /** The problem and its remedy. Holds no secret. */
  readonly text: string;
}

/** `file:line:column path: what is wrong, and what to write instead`, on one line. */
export function formatProblem(problem: ConfigProblem): string {
  const { file, line, column, path, text } = problem;
  return `${file}:${line}:${column} ${path === '' ? '' : `${path}: `}${text}`;
}

/** A configuration with problems. The message lists all of them, one per line. */
export class ConfigInvalid extends PosternError {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
    const lines = problems.map((problem) => `\n${formatProblem(problem)}`).join('');
    super('ERR_CONFIG_INVALID', `${count} in the configuration:${lines}`, { source: 'config', retryable: false });
    this.name = 'ConfigInvalid';
    this.problems = problems;
  }
}

/** Every problem of a configuration, one per line, as `check` and every other command print it. */
export function problemLines(error: ConfigInvalid): string {
  const count = error.problems.length === 1 ? '1 problem' : `${error.problems.length} problems`;
  return `${error.problems.map((problem) => `${formatProblem(problem)}\n`).join('')}${count}.\n`;
}

/** Collects the problems of one file, each with its place. */
export interface Findings {
  add(path: Path, text: string, at?: 'key' | 'value'): void;
  addIssues(issues: readonly z.core.$ZodIssue[], base: Path): void;
  /** Parses a value that stands at `path`; undefined if it has problems, which are then noted. */
  parse<T>(schema: z.ZodType<T>, value: unknown, path: Path): T | undefined;
}

/** `problems` is shared by all files of a configuration. */
export function createFindings(file: string, yaml: YamlFile, problems: ConfigProblem[]): Findings {
  const add: Findings['add'] = (path, text, at = 'value') => {
    problems.push({ file, ...yaml.locate(path, at), path: pathText(path), text });
  };
  const addIssues: Findings['addIssues'] = (issues, base) => {
    for (const { path, message, at } of problemsIn(issues, base)) add(path, message, at);
  };
  return {
    add,
    addIssues,
    parse: (schema, value, path) => {
      const result = schema.safeParse(value);
      if (result.success) return result.data;
      addIssues(result.error.issues, path);
      return undefined;
    },
  };
}

/** `directory.sources[0].file`. */
function pathText(path: Path): string {
  return path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`))
    .join('')
    .replace(/^\./, '');
}
