import { createHash } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import type { Backend, Serving } from '../core/backend.ts';
import type { BackendName } from '../core/names.ts';
import { isObject } from '../core/objects.ts';
import { Secret } from '../core/secrets.ts';
import { readBackends, settleBackend, settleServing, withDriverPaths } from './backends.ts';
import { checkKeys, type ConfigFile, openIncluded, openMain } from './config-file.ts';
import { type Config, configShape, includedKeys, parseOptionalSections, parseSections } from './config.ts';
import {
  checkDelivery,
  checkDirectoryNames,
  checkForgetting,
  checkListeners,
  checkMasters,
  checkServersDiffer,
  checkSources,
  checkSpellings,
  checkSupport,
  checkWebmails,
  type SettledBackend,
} from './cross-checks.ts';
import { ConfigInvalid, type ConfigProblem } from './problems.ts';
import { type ConfigFiles, createReferencedFiles, type Environment } from './referenced-files.ts';

/** Options of loading a configuration. */
export interface LoadOptions {
  /** Where `{ env: … }` looks. */
  readonly env: Environment;
  /**
   * Whether the drivers that the configuration names are loaded, which check their settings and know their DAV paths;
   * false when left out. Commands that need an address alone are quicker without.
   */
  readonly checksDrivers?: boolean;
  /** Defaults to the files on disk. */
  readonly files?: ConfigFiles;
}

/**
 * Reads a configuration, whole or not at all.
 *
 * Rejects with {@link ConfigInvalid}, which lists every problem of all files at once. The files that the configuration
 * names are read too: included files, certificates, secrets, the logo. Files that the gateway makes itself are not, and
 * no server is asked.
 */
export async function loadConfig(file: string, { env, checksDrivers = false, files }: LoadOptions): Promise<Config> {
  const problems: ConfigProblem[] = [];
  const main = openMain(file, createReferencedFiles(resolve(dirname(file)), env, files), problems);
  const config = main === undefined ? undefined : await settleConfig(main, problems, checksDrivers);
  if (config === undefined || problems.length > 0) throw new ConfigInvalid(inReadingOrder(problems, file));
  return freeze(config);
}

async function settleConfig(
  main: ConfigFile,
  problems: ConfigProblem[],
  checksDrivers: boolean,
): Promise<Config | undefined> {
  const { root, findings } = main;
  const shape = configShape(main.referenced);
  checkKeys(main, Object.keys(shape));
  const part = <T>(key: string, schema: z.ZodType<T>) => findings.parse(schema, root[key], [key]);
  const sections = parseSections(shape, part);
  const optional = parseOptionalSections(shape, part);
  const defaults = part('backend_defaults', shape.backend_defaults);
  const included = openIncluded(main, part('include', shape.include) ?? [], problems);
  for (const file of included) checkKeys(file, includedKeys);

  const { backends: named, names } = readBackends([main, ...included]);
  if (names.size === 0)
    findings.add(['backends'], 'names no backend: write { a: { imap: imaps://HOST, webmail: http://HOST/ } }');
  const settled: SettledBackend[] = [];
  const serving = new Map<BackendName, Serving>();
  if (defaults !== undefined) {
    for (const one of named) {
      const context = { defaults, imapCa: sections.passdb?.ca };
      const backend = settleBackend(one, context);
      if (backend !== undefined) settled.push({ named: one, backend });
      serving.set(one.name, settleServing(one, context));
    }
  }
  checkServersDiffer(settled);
  const { directory } = sections;
  if (directory !== undefined) {
    checkDirectoryNames(directory, names, findings);
    checkSpellings(optional.support, directory, findings);
    checkMasters(settled, directory.nameRules.forbiddenCharacters ?? '');
    if (checksDrivers) await checkSources(directory, findings);
  }
  if (checksDrivers) await checkWebmails(settled, { findings, section: defaults });
  if (checksDrivers && sections.sessions?.forgetPassword === true) {
    await checkForgetting(settled, findings);
  }
  if (!isComplete(sections)) return undefined;
  checkListeners(sections, findings);
  checkDelivery({ ...sections, ...optional }, findings);
  checkSupport(optional.support, sections.publicUrls, findings);
  const backends = new Map<BackendName, Backend>();
  for (const { backend } of settled) {
    backends.set(backend.name, checksDrivers ? await withDriverPaths(backend) : backend);
  }
  return {
    file: main.name,
    written: fingerprints(root),
    settings: writtenSettings(main, included),
    exposedSecrets: [...main.referenced.exposed],
    ...sections,
    ...optional,
    backends,
    serving,
  };
}

function isComplete<T extends object>(sections: T): sections is { [Key in keyof T]: NonNullable<T[Key]> } & T {
  return Object.values(sections).every((section) => section !== undefined);
}

/** The problems in reading order: the main file first, each file from its top. */
function inReadingOrder(problems: readonly ConfigProblem[], mainFile: string): readonly ConfigProblem[] {
  const rank = ({ file }: ConfigProblem) => (file === mainFile ? '' : file);
  return [...problems].sort((a, b) => compareNames(rank(a), rank(b)) || a.line - b.line || a.column - b.column);
}

function compareNames(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** Freezes a value and everything in it, except buffers, which cannot be frozen, and secrets, which need not be. */
function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  if (ArrayBuffer.isView(value) || value instanceof Secret) return value;
  const inner = value instanceof Map ? [...value.values()] : Object.values(value);
  for (const one of inner) freeze(one);
  return Object.freeze(value);
}

/**
 * Each value that is not a map, as path → hash, to find changes: `sessions.idle_timeout` → hash of `"30 min"`.
 * A list is one value. Hashes, because a file with problems may hold what should not be kept.
 */
function fingerprints(root: Readonly<Record<string, unknown>>): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  const walk = (map: Readonly<Record<string, unknown>>, prefix: string) => {
    for (const [key, value] of Object.entries(map)) {
      if (isObject(value)) walk(value, `${prefix}${key}.`);
      else values.set(prefix + key, createHash('sha256').update(JSON.stringify(value)).digest('base64'));
    }
  };
  walk(root, '');
  return values;
}

/** The settings as the files have them: those of the main file, with the backends of the included ones. */
function writtenSettings(main: ConfigFile, included: readonly ConfigFile[]): Readonly<Record<string, unknown>> {
  const { include: _include, ...own } = main.root;
  const backends = [main, ...included].map(({ root }) => (isObject(root['backends']) ? root['backends'] : {}));
  const written = { ...own, backends: Object.assign({}, ...backends) };
  return Object.fromEntries(Object.entries(written).map(([key, value]) => [key, withoutPasswords(value)]));
}

/** Hides what a URL may carry of secrets: who signs in, and the values of its query but for `%u`, `%n` and `%d`. */
function withoutPasswords(value: unknown): unknown {
  if (typeof value === 'string') return isUrl.test(value) ? urlWithoutPasswords(value) : value;
  if (Array.isArray(value)) return value.map(withoutPasswords);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, withoutPasswords(part)]));
}

const isUrl = /^\s*[a-z][a-z0-9+.-]*:\/\//i;
/** A value that names the user: `%u`, `%n@%d`. A percent-encoded byte, such as `%d3`, is none. */
const namesUser = /^(?:%[und](?![0-9a-f])[@.:+-]?)+$/i;

function urlWithoutPasswords(url: string): string {
  const [address = '', ...query] = url.replace(/^([^/]*\/\/)[^/\\?#]*@/, '$1***@').split('?');
  if (query.length === 0) return address;
  const shown = query
    .join('?')
    .replace(/(^|[&;])([^=&;]*=)?([^&;]+)/g, (text, start: string, name = '', given = '') => {
      return namesUser.test(given) ? text : `${start}${name}***`;
    });
  return `${address}?${shown}`;
}
