import type { z } from 'zod';
import type { ConfigProblem } from './problem.ts';
import type { Path, YamlFile } from './yaml-file.ts';

/** Collects what is wrong in one file, each problem with its place there. */
export interface Findings {
  add(path: Path, text: string, at?: 'key' | 'value'): void;
  addIssues(issues: readonly z.core.$ZodIssue[], base: Path): void;
  /** Parses a value that stands at `path`; nothing when it has problems, which are then noted. */
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
