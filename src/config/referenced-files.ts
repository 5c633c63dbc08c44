import { X509Certificate } from 'node:crypto';
import { globSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { readNamedFileSync, whyUnreadable } from '../core/named-files.ts';
import { isObject } from '../core/objects.ts';
import { exposureOf } from '../core/secret-files.ts';
import { Secret } from '../core/secrets.ts';
import { leaf, secretRemedy, settle, unknownKeyText } from '../schema/scalars.ts';
import { formatSize, read, type Reading, wrong } from '../schema/value-parsers.ts';
import type { Path } from './yaml-file.ts';

/** The files that a configuration is read from. `size`, `read` and `readMain` throw as node:fs does. */
export interface ConfigFiles {
  size(path: string): number;
  read(path: string): Buffer;
  /** The file of the command line, which may also be a pipe. */
  readMain(path: string): Buffer;
  /** Why others may read or change the file of a secret, and what to do; undefined when they may not. */
  exposure(path: string): string | undefined;
  /** As {@link findIncluded}. */
  included(pattern: string, directory: string): readonly string[] | undefined;
}

/** Everything that was read for one configuration, secrets included, for another process to read the same. */
export interface FilesRead {
  /** In base64, by path. */
  readonly contents: Record<string, string>;
  /** By directory and pattern. */
  readonly included: Record<string, readonly string[]>;
}

const filesOnDisk: ConfigFiles = {
  size: (path) => statSync(path).size,
  read: readNamedFileSync,
  readMain: (path) => (statSync(path).isFIFO() ? readFileSync(path) : readNamedFileSync(path)),
  exposure: (path) => exposureOf(path, statSync(path)),
  included: findIncluded,
};

/** The files on disk; `record` holds what was read of them. */
export function recordFiles(): { readonly files: ConfigFiles; readonly record: FilesRead } {
  const record: FilesRead = { contents: {}, included: {} };
  const recorded = (path: string, content: Buffer): Buffer => {
    record.contents[path] = content.toString('base64');
    return content;
  };
  const files: ConfigFiles = {
    size: (path) => filesOnDisk.size(path),
    exposure: (path) => filesOnDisk.exposure(path),
    read: (path) => recorded(path, filesOnDisk.read(path)),
    readMain: (path) => recorded(path, filesOnDisk.readMain(path)),
    included(pattern, directory) {
      const names = filesOnDisk.included(pattern, directory);
      if (names !== undefined) record.included[`${directory}\0${pattern}`] = names;
      return names;
    },
  };
  return { files, record };
}

/** Files as they were when they were recorded, whatever is on disk now. Others are not there. */
export function replayFiles({ contents, included }: FilesRead): ConfigFiles {
  const read = (path: string): Buffer => {
    const content = contents[path];
    if (content === undefined) throw Object.assign(new Error(`${path} was not read`), { code: 'ENOENT' });
    return Buffer.from(content, 'base64');
  };
  return {
    size: (path) => read(path).length,
    // The process that recorded the files has reported it.
    exposure: () => undefined,
    read,
    readMain: read,
    included: (pattern, directory) => included[`${directory}\0${pattern}`],
  };
}

/**
 * The files that match a pattern, sorted by name. The pattern is relative to `directory`; the names are relative to the
 * working directory, as the name of the main file is. Undefined if a name without wildcards does not exist.
 */
function findIncluded(pattern: string, directory: string): readonly string[] | undefined {
  const isPlain = !/[*?[\]{}]/.test(pattern);
  const found = globSync(pattern, { cwd: directory }).map((name) =>
    name.startsWith('/') ? name : join(directory, name),
  );
  // Opening a file that is named without wildcards reports its problems.
  if (isPlain) return found.length === 0 ? undefined : found;
  return found.filter((name) => statSync(name, { throwIfNoEntry: false })?.isFile() === true).sort();
}

/** Files and environment variables that a configuration names. Paths are relative to the file that names them. */
export interface ReferencedFiles {
  readonly files: ConfigFiles;
  /** Problems with the modes of secret files, in words. */
  readonly exposed: Set<string>;
  /** The same for a file in another directory. */
  at(directory: string): ReferencedFiles;
  /** The absolute path; nothing is opened. */
  path(text: string): string;
  /** The content of a file that is not larger than `most` bytes. */
  bytes(text: string, most: number): Reading<Uint8Array>;
  /** The same for a file that others must not read: a private key. */
  secretBytes(text: string, most: number): Reading<Uint8Array>;
  /** The PEM text of one or more certificates. */
  certificates(text: string): Reading<string>;
  secretFile(text: string): Reading<Secret>;
  secretVariable(name: string): Reading<Secret>;
}

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

const longestSecret = 64 * 1024;
const notText = 'is not UTF-8 text, which would change the secret: write it again in UTF-8';
const certificate = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Reads each file of certificates once, however many backends name it: make a new one for each load. */
export function createReferencedFiles(
  directory: string,
  env: Environment,
  files: ConfigFiles = filesOnDisk,
  known: Map<string, Reading<string>> = new Map(),
  exposed: Set<string> = new Set(),
): ReferencedFiles {
  const path = (text: string) => resolve(directory, text);
  const judge = (file: string): void => {
    const exposure = files.exposure(file);
    if (exposure !== undefined) exposed.add(exposure);
  };
  return {
    files,
    exposed,
    at: (other) => createReferencedFiles(other, env, files, known, exposed),
    path,
    bytes: (text, most) => readBounded(files, path(text), most),
    secretBytes: (text, most) => {
      const bytes = readBounded(files, path(text), most);
      if (bytes.kind === 'ok') judge(path(text));
      return bytes;
    },
    certificates: (text) => {
      const file = path(text);
      const reading = known.get(file) ?? readCertificates(files, file);
      known.set(file, reading);
      return reading;
    },
    secretFile: (text) => {
      const file = readText(files, path(text));
      if (file.kind === 'wrong') return file;
      judge(path(text));
      // The byte order mark and the line end belong to the editor; other white space may belong to the secret.
      return wrapSecret(file.value.replace(/^\ufeff/, '').replace(/\r?\n$/, ''), path(text));
    },
    secretVariable: (name) => {
      const value = env[name];
      if (value === undefined)
        return wrong(`the environment variable ${name} is not set: set it where the gateway is started`);
      return wrapSecret(value, `the environment variable ${name}`);
    },
  };
}

function wrapSecret(value: string, where: string): Reading<Secret> {
  if (value === '') return wrong(`${where} is empty: put the secret there, on one line`);
  if (value.length > longestSecret)
    return wrong(`${where} is too long for a secret: put the secret there, on one line`);
  if (/[\0\ufffd]/.test(value)) return wrong(`${where} ${notText}`);
  if (/[\r\n]/.test(value)) return wrong(`${where} has several lines: put the secret there, on one line`);
  return read(new Secret(value));
}

function readCertificates(files: ConfigFiles, file: string): Reading<string> {
  const text = readText(files, file);
  if (text.kind === 'wrong') return text;
  const remedy = 'name a file of PEM certificates (-----BEGIN CERTIFICATE-----)';
  const found = text.value.match(certificate);
  if (found === null) return wrong(`${file} contains no certificate: ${remedy}`);
  for (const [index, pem] of found.entries()) {
    try {
      void new X509Certificate(pem);
    } catch {
      return wrong(`certificate ${index + 1} in ${file} cannot be read: ${remedy}`);
    }
  }
  return read(`${found.join('\n')}\n`);
}

function readBounded(files: ConfigFiles, file: string, most: number): Reading<Uint8Array> {
  try {
    return files.size(file) > most
      ? wrong(`${file} is larger than ${formatSize(most)}: make it smaller`)
      : read(files.read(file));
  } catch (error) {
    return wrong(whyUnreadable(file, error));
  }
}

function readText(files: ConfigFiles, file: string): Reading<string> {
  try {
    return read(files.read(file).toString('utf8'));
  } catch (error) {
    return wrong(whyUnreadable(file, error));
  }
}

/** A file that the gateway makes itself, as an absolute path. */
export function ownFile(referenced: ReferencedFiles) {
  return leaf({ ...fileName, parse: (value) => read(referenced.path(value)) });
}

/** A file of PEM certificates, as its text. */
export function certificates(referenced: ReferencedFiles) {
  return leaf({ ...fileName, parse: (value) => referenced.certificates(value) });
}

const fileName = { what: 'a file name', remedy: 'write a path, relative to this file' };

/** A secret, from a file or the environment only. Any other value is refused and never shown. */
export function secret(referenced: ReferencedFiles) {
  const name = z.string({ error: 'is not a name: write a file name or the name of an environment variable' }).min(1);
  return z
    .strictObject(
      {
        file: name.optional().describe('A file that holds the secret on one line, relative to this file.'),
        env: name.optional().describe('The environment variable that holds the secret.'),
      },
      {
        error: (issue) =>
          issue.code === 'unrecognized_keys'
            ? issue.keys.map((key) => unknownKeyText(key, ['file', 'env'])).join('\n')
            : `must come from a file or the environment: ${secretRemedy}`,
      },
    )
    .meta({ title: 'secret' })
    .transform((source, context): Secret => {
      const { file, env } = source;
      if (file !== undefined && env === undefined) return settle(referenced.secretFile(file), context);
      if (env !== undefined && file === undefined) return settle(referenced.secretVariable(env), context);
      return settle(wrong(`must name one place: ${secretRemedy}`), context);
    });
}

const fileKey = /^(?:.*_)?file$/;
/** A file that a source reads itself when it is opened; problems with it are reported here, at its line. */
const authoritiesKey = 'tls_ca_file';
const secretKey = /^(?:.*_)?(?:password|secret|token)$/;
/** The place of the user's own password in a template of a driver. */
const passwordPlace = '{password}';

/**
 * Settings that belong to a driver, made independent of where they stand: a text under `file` or `…_file` becomes an
 * absolute path, and a map of `file` or `env` alone becomes a secret. A secret that is written out is refused. The driver
 * checks the rest.
 */
export function settleSettings<T extends Readonly<Record<string, unknown>>>(
  settings: T,
  referenced: ReferencedFiles,
  context: z.core.$RefinementCtx,
): T {
  const note = (path: Path, reading: Reading<unknown>): unknown => {
    if (reading.kind === 'ok') return reading.value;
    context.addIssue({ code: 'custom', path: [...path], message: reading.why });
    return undefined;
  };
  const settle = (value: unknown, path: Path): unknown => {
    if (Array.isArray(value)) return value.map((item, index) => settle(item, [...path, index]));
    if (!isObject(value)) return settleScalar(value, path);
    const { file, env, ...others } = value;
    if (Object.keys(others).length === 0) {
      if (typeof file === 'string' && env === undefined) return note(path, referenced.secretFile(file));
      if (typeof env === 'string' && file === undefined) return note(path, referenced.secretVariable(env));
    }
    return settleEach(value, path);
  };
  const settleScalar = (value: unknown, path: Path): unknown => {
    const key = String(path.at(-1));
    if (secretKey.test(key) && value !== passwordPlace)
      return note(path, wrong(`must come from a file or the environment: ${secretRemedy}`));
    if (!fileKey.test(key) || typeof value !== 'string') return value;
    if (key === authoritiesKey && note(path, referenced.certificates(value)) === undefined) return undefined;
    return referenced.path(value);
  };
  const settleEach = (map: Readonly<Record<string, unknown>>, path: Path): Record<string, unknown> =>
    Object.fromEntries(Object.entries(map).map(([key, value]) => [key, settle(value, [...path, key])]));
  return { ...settings, ...settleEach(settings, []) };
}
