import type { Backend } from '../core/backend.ts';
import type { PublicUrl } from '../core/http.ts';
import { type BackendName, createLoginNameParser, domainOfUsers, normaliseDomain } from '../core/names.ts';
import { isObject } from '../core/objects.ts';
import { checkSource } from '../directory/registry.ts';
import { nearest } from '../schema/did-you-mean.ts';
import { shownValue } from '../schema/value-parsers.ts';
import { configuredMasterEntry, driverProblems } from '../webmail/registry.ts';
import { driverBlockOf } from './backends-section.ts';
import type { NamedBackend } from './backends.ts';
import type { Config } from './config.ts';
import type { Findings } from './problems.ts';
import type { Path } from './yaml-file.ts';

/** A backend that is complete, with the place where it stands. */
export interface SettledBackend {
  readonly named: NamedBackend;
  readonly backend: Backend;
}

/** Reports two names for one machine: moves, counts and states would each see half of its users. */
export function checkServersDiffer(settled: readonly SettledBackend[]): void {
  const seen = new Map<string, BackendName>();
  for (const { named, backend } of settled) {
    for (const { imap, webmail } of backend.hosts) {
      const server = JSON.stringify([imap.hostname, imap.port, webmail.origin, webmail.landing]);
      const other = seen.get(server);
      if (other === undefined) seen.set(server, backend.name);
      else if (other === backend.name) {
        named.findings.add(named.path, 'has two hosts with the same IMAP server and webmail: remove one', 'key');
      } else {
        named.findings.add(
          named.path,
          `has the same IMAP server and webmail as ${other}: remove one of the two`,
          'key',
        );
      }
    }
  }
}

/**
 * Checks what entry without a password needs: a master where `master_login` is declared, and that nobody can sign in as
 * `user*master` on the page.
 */
export function checkMasters(settled: readonly SettledBackend[], forbidden: string): void {
  for (const { named, backend } of settled) {
    const { driver, driverSettings, master } = backend;
    if (master === undefined && driverSettings['master_login'] === true) {
      const message = `has ${driver}: { master_login: true } but no master: write master: { user: NAME, password: { file: NAME } }`;
      named.findings.add(named.path, message, 'key');
    }
    if (master !== undefined && !forbidden.includes(master.separator)) {
      const character = shownValue(master.separator);
      const message = `has a master with the separator ${character}, which user names may contain: add it to directory.forbidden_characters`;
      named.findings.add(named.path, message, 'key');
    }
  }
}

/**
 * Checks that every webmail can open the user's own account without a password, since a forgotten one cannot be used
 * again. Each reason is reported once, however many backends share it.
 */
export async function checkForgetting(settled: readonly SettledBackend[], findings: Findings): Promise<void> {
  const byReason = new Map<string, string[]>();
  for (const { backend } of settled) {
    const { name, driver, driverSettings, master } = backend;
    if ((await driverProblems(driver, driverSettings)).length > 0) continue;
    const entry = await configuredMasterEntry(driver, driverSettings, master);
    if (entry.kind === 'own-account') continue;
    byReason.set(entry.why, [...(byReason.get(entry.why) ?? []), name]);
  }
  for (const [why, names] of byReason) {
    const [first, ...others] = names;
    const which = others.length === 0 ? `the backend ${first}` : `the backend ${first} and ${others.length} more`;
    const message = `needs webmails that open the user’s own account without a password, which ${which} cannot: ${why}`;
    findings.add(['sessions', 'forget_password'], message);
  }
}

/** Checks the public listener and the number of workers against other sections. */
export function checkListeners(
  { tls, publicUrls, workers, sessions }: Pick<Config, 'tls' | 'publicUrls' | 'workers' | 'sessions'>,
  findings: Findings,
): void {
  if (tls.length > 0 && !publicUrls.some(({ secure }) => secure)) {
    findings.add(['tls'], 'makes the listener speak HTTPS, but public_url has no https address: write one there');
  }
  if (workers > 1 && sessions.store.kind === 'embedded') {
    findings.add(
      ['workers'],
      `starts ${workers} processes, but the embedded store serves only one: set sessions.redis, or write workers: 1`,
    );
  }
}

/** Checks that Postfix's maps have domains: without, they would answer for every address that mail is sent to. */
export function checkDelivery(
  { directoryService: service, directory }: Pick<Config, 'directoryService' | 'directory'>,
  findings: Findings,
): void {
  if (service === undefined || (service.socketmap === undefined && service.tcpTable === undefined)) return;
  const { defaultDomain, domainAliases } = directory.nameRules;
  for (const [index, domain] of (service.deliveryDomains ?? []).entries()) {
    const target = domainOfUsers(domain, directory.nameRules);
    if (target === domain) continue;
    const message = `${shownValue(domain)} is an alias of ${target}: write ${target}, which covers both`;
    findings.add(['directory_service', 'domains', index], message);
  }
  if (service.deliveryDomains !== undefined || defaultDomain !== undefined || Object.keys(domainAliases).length > 0)
    return;
  const message = 'is missing: write the mail domains of your users, such as [example.org]';
  findings.add(['directory_service', 'domains'], message);
}

/** Checks that console and assist host have host names of their own: cookies do not tell ports apart. */
export function checkSupport(support: Config['support'], publicUrls: readonly PublicUrl[], findings: Findings): void {
  if (support === undefined) return;
  const taken = new Map(publicUrls.map((url) => [hostnameOf(url), 'public_url']));
  for (const key of ['console', 'assist'] as const) {
    const url = support[key];
    const other = taken.get(hostnameOf(url));
    if (other !== undefined) {
      findings.add(
        ['support', key],
        `has the same host name as ${other}: give it one of its own, such as ${key}.example.org`,
      );
    } else if (!url.secure && publicUrls.every(({ secure }) => secure)) {
      findings.add(['support', key], 'is not HTTPS, but public_url is: write https://');
    }
    taken.set(hostnameOf(url), `support.${key}`);
  }
}

/**
 * Checks that names of users and domains are spelt as a login spells them: another spelling would match nobody, and
 * protect or allow nothing.
 */
export function checkSpellings(
  support: Config['support'],
  { nameRules, sources }: Pick<Config['directory'], 'nameRules' | 'sources'>,
  findings: Findings,
): void {
  const parse = createLoginNameParser(nameRules);
  const remedy = 'write a mailbox by its full name, such as sam@example.org';
  const checkUser = (name: string, path: Path, at?: 'key') => {
    const parsed = parse(name);
    if (parsed.kind === 'malformed') findings.add(path, `${shownValue(name)} is not a mailbox name: ${remedy}`, at);
    else if (parsed.name !== name) findings.add(path, `${shownValue(name)} signs in as ${parsed.name}: write that`, at);
  };
  const checkDomain = (domain: string, path: Path) => {
    const written = normaliseDomain(domain.replace(/^\*\./, ''));
    const target = domainOfUsers(written ?? '', nameRules);
    if (target === undefined || target === written) return;
    findings.add(path, `${shownValue(domain)} is an alias of ${target}: write ${target}`);
  };
  for (const [name, { domains }] of support?.staff ?? []) {
    const path = ['support', 'staff', name];
    checkUser(name, path, 'key');
    for (const [index, domain] of (domains ?? []).entries()) checkDomain(domain, [...path, 'domains', index]);
  }
  for (const [index, name] of [...(support?.neverOpened ?? [])].entries()) {
    checkUser(name, ['support', 'never_opened', index]);
  }
  for (const [index, { domains, pinned }] of sources.entries()) {
    const path = ['directory', 'sources', index];
    const isList = Array.isArray(domains);
    for (const [at, domain] of [domains ?? []].flat().entries()) {
      if (typeof domain === 'string') checkDomain(domain, [...path, 'domains', ...(isList ? [at] : [])]);
    }
    for (const name of isObject(pinned) ? Object.keys(pinned) : []) {
      // A source reads these in any spelling.
      if (parse(name).kind === 'malformed') checkUser(name, [...path, 'pinned', name], 'key');
    }
  }
}

/** Checks that the directory names existing backends. `known` has every name, also of backends with problems. */
export function checkDirectoryNames(
  directory: Config['directory'],
  known: ReadonlySet<string>,
  findings: Findings,
): void {
  const check = (name: unknown, path: (string | number)[]) => {
    if (typeof name !== 'string' || known.has(name)) return;
    const close = nearest(name, [...known]);
    const instead = close === undefined ? 'write the name of a backend' : `did you mean ${close}?`;
    findings.add(['directory', ...path], `there is no backend ${shownValue(name)}: ${instead}`);
  };
  for (const [host, name] of Object.entries(directory.hosts)) check(name, ['hosts', host]);
  for (const [index, source] of directory.sources.entries()) {
    if (source.type === 'static') check(source['backend'], ['sources', index, 'backend']);
  }
}

/** Reports the problems that each source's driver finds in its settings. */
export async function checkSources(directory: Config['directory'], findings: Findings): Promise<void> {
  for (const [index, source] of directory.sources.entries()) {
    for (const { path, message, at } of await checkSource(source)) {
      findings.add(['directory', 'sources', index, ...path], message, at);
    }
  }
}

/**
 * Checks the settings of every backend's webmail driver. They may stand at the backend or under the defaults: each
 * problem is reported where its setting stands, and one under the defaults once, however many backends share it.
 */
export async function checkWebmails(
  settled: readonly SettledBackend[],
  defaults: { readonly findings: Findings; readonly section: object | undefined },
): Promise<void> {
  const told = new Set<string>();
  for (const { named, backend } of settled) {
    const { driver } = backend;
    const own = driverBlockOf(named.entry, driver);
    const shared = driverBlockOf(defaults.section, driver);
    for (const { path, message, at } of await driverProblems(driver, backend.driverSettings)) {
      const stands = (block: object | undefined) =>
        block !== undefined && path[0] !== undefined && Object.hasOwn(block, path[0]);
      // A missing setting belongs to the block that the backend has of its own, else to the one that all share.
      const isShared = !stands(own) && (stands(shared) || (own === undefined && shared !== undefined));
      if (!isShared) {
        named.findings.add([...named.path, driver, ...path], message, at);
        continue;
      }
      const key = JSON.stringify([driver, path, message]);
      if (!told.has(key)) defaults.findings.add(['backend_defaults', driver, ...path], message, at);
      told.add(key);
    }
  }
}

function hostnameOf({ origin }: PublicUrl): string {
  return new URL(origin).hostname;
}
