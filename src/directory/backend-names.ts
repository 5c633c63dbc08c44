import { isIPv6 } from 'node:net';
import type { Backend } from '../core/backend.ts';
import type { BackendName } from '../core/names.ts';

/** Finds the configured backend that a source means; undefined if there is none, or more than one. */
export type FindHome = (home: string) => BackendName | undefined;

/**
 * The names that sources may use for each backend: its name, the name of one of its hosts, or the host name or address
 * of its IMAP server or webmail, as long as only one backend has it. `hosts` adds names that only the directory uses.
 *
 * Nothing that a source says is ever turned into an address: it is looked up here, and what is not here is nobody's.
 */
export function createHomes(
  backends: ReadonlyMap<BackendName, Backend>,
  hosts: Readonly<Record<string, string>> = {},
): FindHome {
  const names = new Map<string, BackendName>();
  const byHost = new Map<string, BackendName | 'ambiguous'>();
  const addHost = (host: string, backend: BackendName): void => {
    const key = foldHost(host);
    const before = byHost.get(key);
    byHost.set(key, before === undefined || before === backend ? backend : 'ambiguous');
  };
  for (const backend of backends.values()) {
    names.set(backend.name, backend.name);
    for (const host of backend.hosts) {
      addHost(host.name, backend.name);
      addHost(host.imap.hostname, backend.name);
      addHost(new URL(host.webmail.origin).hostname, backend.name);
    }
  }
  for (const [host, name] of Object.entries(hosts)) {
    const backend = names.get(name);
    if (backend === undefined) throw new TypeError(`directory.hosts: ${host} → ${name}: there is no such backend`);
    byHost.set(foldHost(host), backend);
  }
  return (home) => {
    const found = names.get(home) ?? byHost.get(foldHost(home));
    return found === 'ambiguous' ? undefined : found;
  };
}

function foldHost(host: string): string {
  const bare = host
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');
  return isIPv6(bare) && !bare.includes('%') ? new URL(`http://[${bare}]/`).hostname.slice(1, -1) : bare;
}
