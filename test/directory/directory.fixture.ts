import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Backend } from '../../src/core/backend.ts';
import { systemClock } from '../../src/core/clock.ts';
import { PosternError } from '../../src/core/error.ts';
import { type Log, silentLog } from '../../src/core/log.ts';
import {
  type BackendName,
  type CanonicalUser,
  createLoginNameParser,
  type LoginName,
  type LoginNameRules,
} from '../../src/core/names.ts';
import { createDirectory, type Directory, type DirectoryOptions } from '../../src/directory/directory.ts';

const limits: Backend['limits'] = {
  imapConnectMs: 3000,
  imapGreetingMs: 3000,
  imapAuthMs: 8000,
  webmailConnectMs: 3000,
  webmailFirstByteMs: 180_000,
  webmailKeepAliveMs: 60_000,
  connections: 256,
  queue: 256,
  queueMs: 5000,
  connectionsPerUser: 64,
  upgradesPerSession: 20,
};

/** Backends by name, each with one host `mail-NAME.example.test`. */
export function backendsNamed(...names: readonly string[]): ReadonlyMap<BackendName, Backend> {
  return new Map(
    names.map((text) => {
      const name = backendName(text);
      const hostname = `mail-${text}.example.test`;
      const host = {
        name: text,
        imap: { hostname, port: 993, security: 'tls', trust: {} },
        webmail: { origin: `http://${hostname}`, landing: '/', trust: {} },
      } as const;
      return [name, { name, driver: 'none', driverSettings: {}, hosts: [host], limits }];
    }),
  );
}

/** The rules of the test site: `alice` is `alice@example.test`. */
export const nameRules: LoginNameRules = { defaultDomain: 'example.test' };
const parse = createLoginNameParser(nameRules);

export function loginName(typed: string): LoginName {
  const parsed = parse(typed);
  if (parsed.kind !== 'ok') throw new Error(`${JSON.stringify(typed)} is malformed: ${parsed.why}`);
  return parsed.name;
}

/** A directory over the given sources, with the backends a and b, and no cache unless the test is about it. */
export function testDirectory(
  sources: DirectoryOptions['sources'],
  options: Partial<DirectoryOptions> = {},
): Promise<Directory> {
  return createDirectory({
    sources,
    backends: backendsNamed('a', 'b'),
    nameRules,
    cache: { ttlMs: 0, negativeTtlMs: 0, transientTtlMs: 0, staleMs: 0 },
    // These are longer than a gateway waits, so that a busy machine fails no test.
    timeouts: { sourceMs: 5000, lookupMs: 12_000 },
    clock: systemClock,
    log: silentLog,
    pollMs: 10,
    ...options,
  });
}

/**
 * The outcome of looking up a typed name, in one line: `a alice@example.test`, for one of the staff
 * `a alice@example.test (role)`, `referred: …`, `unknown`, `refused: …`, `ERR_…`.
 */
export async function outcomeOf(directory: Directory, typed: string, signal?: AbortSignal): Promise<string> {
  try {
    const home = await directory.lookup(loginName(typed), signal ?? AbortSignal.timeout(20_000));
    const role = home.kind === 'found' && home.role !== undefined ? ` (${home.role})` : '';
    if (home.kind === 'found') return `${home.backend} ${home.user}${role}`;
    if (home.kind === 'referred') return `referred: ${home.server.name}`;
    return home.kind === 'refused' ? `refused: ${home.reason}` : 'unknown';
  } catch (error) {
    if (error instanceof PosternError) return error.code;
    throw error;
  }
}

/** Asks until the outcome is the expected one. Resolves with the last outcome, after twenty seconds at most. */
export async function eventually(expected: string, ask: () => Promise<string>): Promise<string> {
  const deadlineMs = Date.now() + 20_000;
  for (;;) {
    const outcome = await ask();
    if (outcome === expected || Date.now() > deadlineMs) return outcome;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A log that keeps its lines: `level event`. */
export function recordingLog(): Log & { readonly lines: string[]; readonly fields: object[] } {
  const lines: string[] = [];
  const fields: object[] = [];
  const at =
    (level: string) =>
    (event: string, facts: object = {}) => {
      lines.push(`${level} ${event}`);
      fields.push(facts);
    };
  return { lines, fields, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** A directory for files, removed at the end. */
export async function temporaryDirectory(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'postern-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export function backendName(name: string): BackendName;
export function backendName(name: string): string {
  return name;
}

export function canonicalUser(name: string): CanonicalUser;
export function canonicalUser(name: string): string {
  return name;
}
