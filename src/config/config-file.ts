import { dirname, resolve } from 'node:path';
import { codeOf, isMissing, thisUser, whyUnreadable } from '../core/named-files.ts';
import { isObject } from '../core/objects.ts';
import { encodingProblems, whyUtf16 } from '../core/text.ts';
import { unknownKeyText } from '../schema/scalars.ts';
import { type ConfigProblem, createFindings, type Findings } from './problems.ts';
import type { ReferencedFiles } from './referenced-files.ts';
import { parseYamlFile } from './yaml-file.ts';

/** A configuration file that is known to be YAML and a map of keys. */
export interface ConfigFile {
  /** As it was named. */
  readonly name: string;
  readonly root: Readonly<Record<string, unknown>>;
  readonly findings: Findings;
  /** Paths in it are relative to it. */
  readonly referenced: ReferencedFiles;
}

/** Opens the main file, of the command line; undefined as for {@link openConfigFile}. */
export function openMain(name: string, referenced: ReferencedFiles, problems: ConfigProblem[]): ConfigFile | undefined {
  return openConfigFile(name, {
    referenced,
    problems,
    read: () => referenced.files.readMain(name),
    remedy: 'give one with -c FILE, or create one with postern init',
  });
}

interface Opening {
  readonly referenced: ReferencedFiles;
  readonly problems: ConfigProblem[];
  readonly read: () => Buffer;
  /** For a file that is not there. */
  readonly remedy?: string;
}

/** Opens a file; undefined if it cannot be read as a map of keys, which `problems` then says. */
function openConfigFile(name: string, { referenced, problems, read, remedy }: Opening): ConfigFile | undefined {
  const refuse = (line: number, text: string): undefined => {
    problems.push({ file: name, line, column: 1, path: '', text });
  };
  let bytes: Buffer;
  try {
    bytes = read();
  } catch (error) {
    return refuse(1, whyUnopened(name, error, remedy));
  }
  const utf16 = whyUtf16(bytes);
  if (utf16 !== undefined) return refuse(1, utf16);
  const unreadable = encodingProblems(bytes, 1);
  for (const { line, why } of unreadable) refuse(line, why);
  if (unreadable.length > 0) return undefined;
  const yaml = parseYamlFile(bytes.toString('utf8'));
  problems.push(...yaml.problems.map((problem) => ({ file: name, path: '', ...problem })));
  if (yaml.problems.length > 0) return undefined;
  const findings = createFindings(name, yaml, problems);
  if (isObject(yaml.root)) return { name, root: yaml.root, findings, referenced };
  const what = yaml.root === null ? 'the file is empty' : 'the file is not a map of keys';
  findings.add([], `${what}: write listen: 127.0.0.1:8080 and so on, or create it with postern init`);
  return undefined;
}

/** The further files that the main one names, in the order of its patterns and of their names. */
export function openIncluded(main: ConfigFile, patterns: readonly string[], problems: ConfigProblem[]): ConfigFile[] {
  const opened: ConfigFile[] = [];
  for (const [index, pattern] of patterns.entries()) {
    const names = main.referenced.files.included(pattern, dirname(main.name));
    const path = Array.isArray(main.root['include']) ? ['include', index] : ['include'];
    if (names === undefined) main.findings.add(path, `there is no file ${pattern}: create it, or name another`);
    for (const name of names ?? []) {
      const referenced = main.referenced.at(resolve(dirname(name)));
      const file = openConfigFile(name, { referenced, problems, read: () => referenced.files.read(name) });
      if (file !== undefined) opened.push(file);
    }
  }
  return opened;
}

/** Reports every unknown key of the file. */
export function checkKeys(file: ConfigFile, known: readonly string[]): void {
  for (const key of Object.keys(file.root)) {
    if (!known.includes(key)) file.findings.add([key], unknownKeyText(key, known), 'key');
  }
}

function whyUnopened(name: string, error: unknown, remedy: string | undefined): string {
  if (codeOf(error) === 'EACCES') {
    const way = `if the gateway runs as ${thisUser()}, let a group of that user read the file (chgrp GROUP, chmod 640)`;
    return `the user ${thisUser()} may not read ${resolve(name)}: ${way}; else run the command with sudo`;
  }
  return isMissing(error) && remedy !== undefined ? `no such file: ${remedy}` : whyUnreadable(resolve(name), error);
}
