import { PosternError } from '../core/error.ts';

/** One thing that is wrong in a configuration. */
export interface ConfigProblem {
  /** The file as it was named: on the command line, or by `include`. */
  readonly file: string;
  /** Line and column count from 1. */
  readonly line: number;
  readonly column: number;
  /** The key, such as `sessions.idle_timeout`; empty when the file itself is wrong. */
  readonly path: string;
  /** What is wrong, and what to write instead. Holds no secret. */
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
