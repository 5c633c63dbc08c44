import type { z } from 'zod';
import { PosternError } from '../core/error.ts';
import type { Path, YamlFile } from './yaml-file.ts';

/** One thing that is wrong in a configuration. */
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

/** All that is wrong in a configuration, at once. Its message lists every problem, one per line. */
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

/** Collects what is wrong in one file, each problem with its place there. */
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
    for (const { path, text, at } of issues.flatMap((issue) => findingsOf(issue, base))) add(path, text, at);
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

interface Finding {
  readonly path: Path;
  readonly text: string;
  readonly at: 'key' | 'value';
}

function findingsOf(issue: z.core.$ZodIssue, base: Path): Finding[] {
  const path = [...base, ...issue.path.map((step) => (typeof step === 'number' ? step : String(step)))];
  if (issue.code === 'unrecognized_keys') {
    // The schema's own words are one line per key, in the same order.
    const texts = issue.message.split('\n');
    return issue.keys.map((key, index) => ({ path: [...path, key], text: texts[index] ?? issue.message, at: 'key' }));
  }
  if (issue.code === 'invalid_union') {
    // A value of the right shape was meant to be that shape: what is wrong inside it says more than "neither".
    const meant = issue.errors.find((branch) =>
      branch.every((inner) => inner.code !== 'invalid_type' || inner.path.length > 0),
    );
    if (meant !== undefined) return meant.flatMap((inner) => findingsOf(inner, path));
  }
  return [{ path, text: issue.message, at: 'value' }];
}
