import { Client } from 'ldapts';
import type { Secret } from '../core/secret.ts';
import type { Settings } from './settings.ts';
import { readTls } from './tls-settings.ts';

/** Bound connections to one server, over which searches are spread. */
export interface LdapConnections {
  /** Whether one of them can still be searched on. */
  isUsable(): boolean;
  /** Runs on the connection that has the fewest searches under way. Rejects when none is left. */
  use<T>(search: (client: Client) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

const most = 8;

/**
 * Who connects, and how: the returned function reads what it needs and makes the one that connects to a server, within
 * `shareMs` for each step.
 */
export function readConnecting(settings: Settings) {
  const bindDn = settings.optionalText('bind_dn') ?? '';
  const password: Secret | undefined = settings.secret('bind_password');
  const isPlain = settings.choice('tls', ['starttls', 'none'], 'starttls') === 'none';
  const tls = readTls(settings);
  if (bindDn !== '' && password === undefined) settings.problem('bind_password', 'is required with bind_dn');

  return async () => {
    const tlsFor = await tls.load();
    return (url: URL, shareMs: number): Promise<LdapConnections> =>
      openConnections(async () => {
        const options = tlsFor(url.hostname.replace(/^\[|\]$/g, ''));
        const client = new Client({
          url: `${url.protocol}//${url.host}`,
          timeout: shareMs,
          connectTimeout: shareMs,
          ...(url.protocol === 'ldaps:' ? { tlsOptions: options } : {}),
        });
        try {
          if (url.protocol === 'ldap:' && !isPlain) await client.startTLS(options);
          await client.bind(bindDn, password?.reveal() ?? '');
          return client;
        } catch (error) {
          await client.unbind().catch(() => {});
          throw error;
        }
      });
  };
}

/**
 * Opens the first connection. Another one is opened beside, while searches go on, whenever none is free: nobody waits
 * for it, and a server that takes no more of them does its work with those it has.
 */
async function openConnections(connect: () => Promise<Client>): Promise<LdapConnections> {
  const underWay = new Map([[await connect(), 0]]);
  let growing: Promise<void> | undefined;
  let isClosed = false;

  function leastBusy(): readonly [client: Client, searches: number] | undefined {
    let best: readonly [Client, number] | undefined;
    for (const [client, searches] of underWay) {
      // Unbound, it would connect again by itself and search as nobody, who may be shown nothing.
      if (!client.isConnected || !client.isBound) underWay.delete(client);
      else if (best === undefined || searches < best[1]) best = [client, searches];
    }
    return best;
  }

  async function grow(): Promise<void> {
    try {
      const client = await connect();
      if (isClosed) await client.unbind();
      else underWay.set(client, 0);
    } catch {
      // There is at least one other, and the next search that finds none free tries again.
    } finally {
      growing = undefined;
    }
  }

  return {
    isUsable: () => leastBusy() !== undefined,
    async use(search) {
      const [client, searches] = leastBusy() ?? [];
      if (client === undefined || searches === undefined) throw new Error('the connection is closed');
      if (searches > 0 && underWay.size < most) growing ??= grow();
      underWay.set(client, searches + 1);
      try {
        return await search(client);
      } finally {
        const others = underWay.get(client);
        if (others !== undefined) underWay.set(client, others - 1);
      }
    },
    async close() {
      isClosed = true;
      await Promise.all([growing, ...[...underWay.keys()].map((client) => client.unbind())]);
    },
  };
}
