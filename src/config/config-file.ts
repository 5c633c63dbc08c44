import { dirname, resolve } from 'node:path';
import { createFindings, type Findings } from './findings.ts';
import { unknownKey } from './leaves.ts';
import { type Outside, whyUnreadable } from './outside.ts';
import type { ConfigProblem } from './problem.ts';
import { isMap } from './settings.ts';
import { parseYamlFile } from './yaml-file.ts';

/** A configuration file that is YAML and a map of keys; nothing more of it is checked yet. */
export interface ConfigFile {
  /** As it was named. */
  readonly name: string;
  readonly root: Readonly<Record<string, unknown>>;
  readonly findings: Findings;
  /** What it names is relative to it. */
  readonly outside: Outside;
}

/** Opens a file; nothing when it cannot be read as a map of keys, which is then noted in `problems`. */
export function openConfigFile(name: string, outside: Outside, problems: ConfigProblem[]): ConfigFile | undefined {
  let text: string;
  try {
    text = outside.files.read(name).toString('utf8');
  } catch (error) {
    problems.push({ file: name, line: 1, column: 1, path: '', text: whyUnopened(name, error) });
    return undefined;
  }
  const yaml = parseYamlFile(text);
  problems.push(...yaml.problems.map((problem) => ({ file: name, path: '', ...problem })));
  if (yaml.problems.length > 0) return undefined;
  const findings = createFindings(name, yaml, problems);
  if (isMap(yaml.root)) return { name, root: yaml.root, findings, outside };
  const what = yaml.root === null ? 'the file is empty' : 'the file is not a map of keys';
  findings.add([], `${what}: write listen: 127.0.0.1:8080 and so on, or let postern init write it`);
  return undefined;
}

/** The further files that the main one names, in the order of its patterns and of their names. */
export function openIncluded(main: ConfigFile, patterns: readonly string[], problems: ConfigProblem[]): ConfigFile[] {
  const opened: ConfigFile[] = [];
  for (const [index, pattern] of patterns.entries()) {
    const names = main.outside.files.included(pattern, dirname(main.name));
    const path = Array.isArray(main.root['include']) ? ['include', index] : ['include'];
    if (names === undefined) main.findings.add(path, `there is no file ${pattern}: create it, or name another`);
    for (const name of names ?? []) {
      const file = openConfigFile(name, main.outside.at(resolve(dirname(name))), problems);
      if (file !== undefined) opened.push(file);
    }
  }
  return opened;
}

/** Notes every key of the file that is none of the known ones. */
export function checkKeys(file: ConfigFile, known: readonly string[]): void {
  for (const key of Object.keys(file.root)) {
    if (!known.includes(key)) file.findings.add([key], unknownKey(key, known), 'key');
  }
}

function whyUnopened(name: string, error: unknown): string {
  const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
  if (isMissing) return 'there is no such file: name another with -c, or let postern init write one';
  return whyUnreadable(resolve(name), error);
}
