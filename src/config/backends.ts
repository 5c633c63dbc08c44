import type { z } from 'zod';
import type { Backend, BackendLimits, ImapEndpoint, Serving, TlsTrust, WebmailEndpoint } from '../core/backend.ts';
import type { BackendName } from '../core/names.ts';
import { defined, isObject } from '../core/objects.ts';
import { atLeastOne } from '../schema/scalars.ts';
import { bracketed, type Reading, shownValue, urlOrigin, type WebmailUrl } from '../schema/value-parsers.ts';
import { loadDriverModule } from '../webmail/registry.ts';
import { type backendDefaultsSection, backendSection, driverBlockOf } from './backends-section.ts';
import type { ConfigFile } from './config-file.ts';
import { settleBasicPaths } from './dav-section.ts';
import type { Findings } from './problems.ts';
import type { Path } from './yaml-file.ts';

type BackendDefaults = z.output<ReturnType<typeof backendDefaultsSection>>;

interface BackendContext {
  readonly defaults: BackendDefaults;
  /** The authorities that vouch for IMAP servers where a backend names none. */
  readonly imapCa: string | undefined;
}

/** Completes a backend with the defaults; undefined if something is missing, which becomes a finding. */
export function settleBackend(named: NamedBackend, context: BackendContext): Backend | undefined {
  const { name, entry, path, findings } = named;
  const { defaults } = context;
  const driver = entry.driver ?? defaults.driver;
  if (driver === undefined) {
    findings.add(path, 'names no webmail driver: write driver: roundcube, here or under backend_defaults', 'key');
  }
  const hosts = settleHosts(named, context);
  const master = entry.master ?? defaults.master;
  const dav = entry.dav ?? defaults.dav;
  const webmailLoginName = entry.login_name?.webmail ?? defaults.login_name?.webmail;
  if (driver === undefined || hosts === undefined) return undefined;
  const basicPaths = dav && settleBasicPaths(dav, hosts);
  const mailPorts = entry.ports && defined(entry.ports);
  return {
    name,
    driver,
    driverSettings: { ...driverBlockOf(defaults, driver), ...driverBlockOf(entry, driver) },
    hosts,
    limits: settleLimits(entry, defaults),
    ...defined({ webmailLoginName, master, basicPaths, mailPorts }),
  };
}

/** The backend with the client paths that its driver knows, if it has none of its own. Loads the driver. */
export async function withDriverPaths(backend: Backend): Promise<Backend> {
  if (backend.basicPaths !== undefined) return backend;
  const { davPaths = [] } = await loadDriverModule(backend.driver);
  return { ...backend, basicPaths: davPaths.map((prefix) => ({ prefix })) };
}

/** The hosts of a backend, the primary first; undefined if one of them is not complete. */
function settleHosts(named: NamedBackend, context: BackendContext): Backend['hosts'] | undefined {
  const hosts = placesOf(named).map((place, index) => {
    const imap = settleImap(place, context);
    const webmail = settleWebmail(place, context);
    const name = index === 0 ? named.name : `${named.name}/${index + 1}`;
    if (imap === undefined || webmail === undefined) return undefined;
    return { name, imap: { ...imap, ...answersOf(named, context) }, webmail };
  });
  const complete = hosts.filter((host) => host !== undefined);
  return complete.length === hosts.length ? atLeastOne(complete) : undefined;
}

/** The site's settings for its IMAP servers: the meaning of their answers, and how they want users to be named. */
function answersOf(
  { entry }: NamedBackend,
  { defaults }: BackendContext,
): Pick<ImapEndpoint, 'laterTexts' | 'okReferral' | 'loginName'> {
  const laterTexts = entry.imap_later ?? defaults.imap_later;
  const okReferral = entry.imap_ok_referral ?? defaults.imap_ok_referral;
  const loginName = entry.login_name?.imap ?? defaults.login_name?.imap;
  return defined({ laterTexts, okReferral, loginName });
}

/** One machine of a backend as it is written, with its place in the file. */
type WrittenPlace = Pick<NamedBackend, 'path' | 'findings'> & {
  readonly entry: Pick<NamedBackend['entry'], 'host' | 'imap' | 'webmail' | 'tls_server_name' | 'tls_ca_file'>;
};

function placesOf({ entry, path, findings }: NamedBackend): WrittenPlace[] {
  const { standby, hosts, host, imap, webmail, tls_server_name, tls_ca_file } = entry;
  if (hosts.length === 0) {
    const standbys = standby.map((own, index) => ({
      entry: { ...own, tls_ca_file: own.tls_ca_file ?? tls_ca_file },
      path: [...path, 'standby', index],
      findings,
    }));
    return [{ entry, path, findings }, ...standbys];
  }
  if (standby.length > 0)
    findings.add(
      [...path, 'standby'],
      'cannot stand beside hosts, which have equal rank: remove one of the two',
      'key',
    );
  if (host !== undefined) findings.add([...path, 'host'], 'cannot stand beside hosts: add it to them', 'key');
  return hosts.map((own, index) => ({
    entry: {
      ...own,
      // An address of its own host fits better than the one that all share.
      imap: own.imap ?? imap,
      webmail: own.webmail ?? webmail,
      tls_server_name: own.tls_server_name ?? tls_server_name,
      tls_ca_file: own.tls_ca_file ?? tls_ca_file,
    },
    path: [...path, 'hosts', index],
    findings,
  }));
}

/** How the hosts of a backend share its work. */
export function settleServing({ name, entry }: NamedBackend, { defaults }: BackendContext): Serving {
  const own = entry.health;
  const common = defaults.health;
  const path = own.path ?? common.path;
  const account = entry.test_account ?? defaults.test_account;
  return {
    arrangement: entry.hosts.length === 0 ? 'standby' : 'pool',
    choice: entry.choice ?? defaults.choice,
    failover: entry.failover ?? defaults.failover,
    weights: Object.fromEntries(
      entry.hosts.map(({ weight }, index) => [index === 0 ? name : `${name}/${index + 1}`, weight]),
    ),
    health: {
      ...defined({ path }),
      httpIntervalMs: own.http_interval ?? common.http_interval,
      imapIntervalMs: own.imap_interval ?? common.imap_interval,
      timeoutMs: own.timeout ?? common.timeout,
      fall: own.fall ?? common.fall,
      rise: own.rise ?? common.rise,
    },
    ...defined({
      testAccount: account && { user: account.user, password: account.password, intervalMs: account.interval },
    }),
  };
}

function settleImap(named: WrittenPlace, { defaults, imapCa }: BackendContext): ImapEndpoint | undefined {
  const { entry } = named;
  const url = entry.imap?.url ?? fill(named, 'imap', defaults.imap);
  if (url === undefined) return undefined;
  const { hostname, security } = url;
  return {
    hostname,
    port: url.port ?? defaults.imap_port ?? { tls: 993, starttls: 143 }[security],
    security,
    trust: trust(
      entry.imap?.tls_server_name ?? entry.tls_server_name,
      entry.imap?.tls_ca_file ?? entry.tls_ca_file ?? defaults.tls_ca_file ?? imapCa,
    ),
  };
}

function settleWebmail(named: WrittenPlace, { defaults }: BackendContext): WebmailEndpoint | undefined {
  const { entry } = named;
  const url: WebmailUrl | undefined = entry.webmail?.url ?? fill(named, 'webmail', defaults.webmail);
  if (url === undefined) return undefined;
  return {
    origin: urlOrigin(url.scheme, url.host, url.port ?? defaults.webmail_port),
    landing: url.landing,
    trust: trust(
      entry.webmail?.tls_server_name ?? entry.tls_server_name,
      entry.webmail?.tls_ca_file ?? entry.tls_ca_file ?? defaults.tls_ca_file,
    ),
  };
}

/** The URL that the defaults make of the backend's host. */
function fill<T>(
  { entry, path, findings }: WrittenPlace,
  key: 'imap' | 'webmail',
  template: ((host: string) => Reading<T>) | undefined,
): T | undefined {
  const example = key === 'imap' ? 'imaps://' : 'http://';
  if (entry.host === undefined || template === undefined) {
    const instead = `write ${key}: ${example}HOST, or a host here and ${key}: ${example}$host under backend_defaults`;
    findings.add(path, `names no ${key} address: ${instead}`, 'key');
    return undefined;
  }
  const url = template(bracketed(entry.host));
  if (url.kind === 'ok') return url.value;
  findings.add([...path, 'host'], url.why);
  return undefined;
}

function trust(servername: string | undefined, ca: string | undefined): TlsTrust {
  return defined({ servername, ca });
}

function settleLimits(entry: NamedBackend['entry'], defaults: BackendDefaults): BackendLimits {
  const own = { ...entry.timeouts, ...entry.limits };
  const common = { ...defaults.timeouts, ...defaults.limits };
  const connections = own.connections ?? common.connections;
  return {
    imapConnectMs: own.imap_connect ?? common.imap_connect,
    imapGreetingMs: own.imap_greeting ?? common.imap_greeting,
    imapAuthMs: own.imap_auth ?? common.imap_auth,
    webmailConnectMs: own.webmail_connect ?? common.webmail_connect,
    webmailFirstByteMs: own.webmail_first_byte ?? common.webmail_first_byte,
    webmailKeepAliveMs: own.webmail_keep_alive ?? common.webmail_keep_alive,
    connections,
    // At least what a browser opens to a server of its own.
    connectionsPerUser:
      own.connections_per_user ?? common.connections_per_user ?? Math.max(6, Math.ceil(connections / 4)),
    queue: own.queue ?? common.queue,
    queueMs: own.queue_time ?? common.queue_time,
    upgradesPerSession: own.upgrades_per_session ?? common.upgrades_per_session,
  };
}

/** A backend as one file names it. */
export interface NamedBackend {
  readonly name: BackendName;
  readonly entry: z.output<ReturnType<typeof backendSection>>;
  /** Where it stands: the key of the backend, in the file whose findings these are. */
  readonly path: Path;
  readonly findings: Findings;
}

const namePattern = /^[a-z0-9][a-z0-9._-]{0,63}$/i;

/**
 * All backends of all files. `names` has every name, also of backends with problems. Bad names, problems of a backend by
 * itself and names that are used twice become findings.
 */
export function readBackends(files: readonly ConfigFile[]): {
  readonly backends: readonly NamedBackend[];
  readonly names: ReadonlySet<string>;
} {
  const backends: NamedBackend[] = [];
  const names = new Set<string>();
  // Names that differ in case alone would be one in a file name, and two in a directory's answer.
  const places = new Map<string, string>();
  for (const file of files) {
    const { findings } = file;
    const part = file.root['backends'] ?? {};
    if (!isObject(part)) {
      findings.add(
        ['backends'],
        'is not a map of backends: write { a: { imap: imaps://HOST, webmail: http://HOST/ } }',
      );
      continue;
    }
    const schema = backendSection(file.referenced);
    for (const [name, value] of Object.entries(part)) {
      const path = ['backends', name];
      const before = places.get(name.toLowerCase());
      if (before === undefined) places.set(name.toLowerCase(), file.name);
      else findings.add(path, `is already a backend in ${before}: give this one another name`, 'key');
      names.add(name);
      const entry = findings.parse(schema, value, path);
      if (!isBackendName(name)) {
        findings.add(
          path,
          `${shownValue(name)} is not a valid name: use letters, digits, dots, dashes and underscores`,
          'key',
        );
      } else if (entry !== undefined && before === undefined) {
        backends.push({ name, entry, path, findings });
      }
    }
  }
  return { backends, names };
}

function isBackendName(text: string): text is BackendName {
  return namePattern.test(text);
}
