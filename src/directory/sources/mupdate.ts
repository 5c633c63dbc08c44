import { setTimeout as wait } from 'node:timers/promises';
import { untilAborted } from '../../core/deadline.ts';
import { type LoginName, splitLoginName } from '../../core/names.ts';
import { shortLine } from '../../core/text.ts';
import { oneOf, textOrNumber, wrappedSecret } from '../../schema/scalars.ts';
import { ServerFailover } from '../server-failover.ts';
import {
  defineSource,
  oneOrMoreServers,
  serverAddress,
  type SourceAddress,
  sourceSettings,
  tlsFor,
  tlsSettings,
} from '../settings.ts';
import { badAnswer, couldNotAsk, type Source, type SourceAnswer, type SourceDeps, unknownUser } from '../source.ts';
import { readHost } from '../table-entries.ts';
import {
  connectMupdate,
  type MupdateConnection,
  type MupdateLogin,
  type MupdateResponse,
  mupdateString,
} from './mupdate-connection.ts';

/**
 * The list of mailboxes of a Cyrus Murder (RFC 3656), from its master or a frontend's copy.
 *
 * `mode: update` keeps a copy of all INBOXes in memory, which the master updates; while the master is away the copy
 * still answers, but "unknown" becomes "later". `mode: find` asks for each user. Both sign in with SASL PLAIN, over TLS
 * unless it is switched off.
 */
export const driver = defineSource({
  about: 'The MUPDATE master of a Cyrus Murder.',
  settings: sourceSettings({
    servers: oneOrMoreServers(serverAddress(3905)).describe(
      'The master, and frontends that run a MUPDATE copy of their own; port 3905 when left out.',
    ),
    mode: oneOf(['update', 'find'] as const)
      .prefault('update')
      .describe(
        '`update`: all INBOXes are kept in memory, and the master sends each change. `find`: it is asked for each user.',
      ),
    user: textOrNumber('a user', 'write a user of admins in imapd.conf').describe(
      'A user in `admins` of the master’s imapd.conf.',
    ),
    password: wrappedSecret().describe('The password of this user.'),
    tls: oneOf(['starttls', 'none'] as const)
      .prefault('starttls')
      .describe('`starttls`: TLS or no connection. `none`: without TLS.'),
    ...tlsSettings(),
  }),
  async create(settings, deps) {
    const { servers, mode, user, password, tls } = settings;

    const login: MupdateLogin = { user, password, tls: tls === 'none' ? undefined : await tlsFor(settings) };
    if (mode === 'find') return openFind(servers, login, deps);
    const { leading } = deps;
    // A node keeps one copy, however many processes it has.
    return leading === undefined
      ? new MupdateCopy(servers, login, deps)
      : { isLocal: true, ask: leading, async [Symbol.asyncDispose]() {} };
  },
});

function openFind(servers: readonly SourceAddress[], login: MupdateLogin, deps: SourceDeps): Source {
  const connections = new ServerFailover({
    servers,
    timeoutMs: deps.timeoutMs,
    label: (server) => `${deps.label} ${server.label}`,
    open: (server, shareMs) => connectMupdate(server, login, AbortSignal.timeout(shareMs)),
    isUsable: (connection) => connection.isOpen,
    close: (connection) => connection.close(),
  });
  return {
    ask: (name, signal) =>
      connections.use(async (connection) => {
        const inbox = inboxOf(name, deps.defaultDomain);
        const responses: MupdateResponse[] = [];
        await connection.command(`FIND ${mupdateString(inbox)}`, (response) => void responses.push(response));
        const [response, ...others] = responses;
        if (response === undefined) return unknownUser;
        if (others.length > 0 || response.strings[0] !== inbox)
          throw badAnswer('the master answered about other mailboxes');
        return readLocation(locationIn(response));
      }, signal),
    [Symbol.asyncDispose]: () => connections[Symbol.asyncDispose](),
  };
}

/**
 * The name of a user's INBOX in the Murder's own namespace: `user.bob`, in another domain than the default one
 * `example.org!user.bob`. A full stop in the user is `^` there, as with `unixhierarchysep: yes`.
 */
export function inboxOf(name: LoginName, defaultDomain: string | undefined): string {
  const { local, domain } = splitLoginName(name);
  const inbox = `user.${local.replaceAll('.', '^')}`;
  return domain === '' || domain === defaultDomain ? inbox : `${domain}!${inbox}`;
}

/** Whether a mailbox is an INBOX: other folders of users are ignored. */
export function isInbox(name: string): boolean {
  return /^(?:[^!]*!)?user\.[^.]+$/.test(name);
}

/** The location of a response's mailbox, `host!partition`; undefined while it is being made or moved. */
function locationIn({ kind, strings: [, location] }: MupdateResponse): string | undefined {
  if (kind === 'RESERVE') return undefined;
  if (kind !== 'MAILBOX' || location === undefined) throw badAnswer('the master sent an unexpected response');
  return location;
}

function readLocation(location: string | undefined): SourceAnswer {
  if (location === undefined) throw couldNotAsk('the mailbox is being created or moved');
  return { kind: 'found', home: readHost(location.split('!', 1)[0] ?? '') };
}

const firstReconnectMs = 250;
const longestReconnectMs = 30_000;
/** Cyrus sends a change up to five seconds late, but at once after a NOOP (RFC 3656). */
const noopMs = 1000;
const silenceMs = 10_000;

/** The locations of INBOXes by name; undefined while one is being made or moved. */
type Inboxes = Map<string, string | undefined>;

/**
 * Keeps a copy of the Murder's INBOXes: UPDATE sends all of them, and then each change. A lost connection is made again
 * with growing pauses, to the next of the servers. The old copy serves until a new one is complete.
 */
class MupdateCopy implements Source {
  readonly isLocal = true;
  readonly #servers: readonly SourceAddress[];
  readonly #login: MupdateLogin;
  readonly #deps: SourceDeps;
  readonly #closing = new AbortController();
  readonly #firstCopy = Promise.withResolvers<void>();
  readonly #following: Promise<void>;
  #inboxes: Inboxes | undefined;
  #connection: MupdateConnection | undefined;

  constructor(servers: readonly SourceAddress[], login: MupdateLogin, deps: SourceDeps) {
    this.#servers = servers;
    this.#login = login;
    this.#deps = deps;
    this.#following = this.#keepFollowing();
  }

  async ask(name: LoginName, signal: AbortSignal): Promise<SourceAnswer> {
    const { label, timeoutMs, defaultDomain } = this.#deps;
    if (this.#inboxes === undefined) {
      const patience = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
      await untilAborted(this.#firstCopy.promise, patience).catch(() => {
        signal.throwIfAborted();
        throw couldNotAsk(`${label} has no complete copy yet`);
      });
    }
    const inbox = inboxOf(name, defaultDomain);
    if (this.#inboxes?.has(inbox)) return readLocation(this.#inboxes.get(inbox));
    // The user may have been made while no server was connected.
    if (this.#connection === undefined)
      throw couldNotAsk(`${label}: no server can be asked for a user who is not in the copy`);
    return unknownUser;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.#connection?.close();
    await this.#following;
  }

  async #keepFollowing(): Promise<void> {
    const { label, log } = this.#deps;
    const closing = this.#closing.signal;
    let pauseMs = firstReconnectMs;
    for (let round = 0; !closing.aborted; round += 1) {
      const server = this.#servers[round % this.#servers.length];
      if (server === undefined) return;
      const before = this.#inboxes;
      try {
        await this.#follow(server);
      } catch (error) {
        if (closing.aborted) return;
        const why = shortLine(error instanceof Error ? error.message : String(error));
        log.warn('directory-copy-lost', { source: label, server: server.label, why });
      }
      pauseMs = this.#inboxes === before ? Math.min(2 * pauseMs, longestReconnectMs) : firstReconnectMs;
      await wait(pauseMs, undefined, { signal: closing, ref: false }).catch(() => {});
    }
  }

  /** Takes a new copy from a server and follows its changes. Rejects when the connection ends. */
  async #follow(server: SourceAddress): Promise<void> {
    const { label, log, timeoutMs } = this.#deps;
    const closing = this.#closing.signal;
    const dialling = AbortSignal.any([closing, AbortSignal.timeout(timeoutMs)]);
    const master = await connectMupdate(server, this.#login, dialling);
    try {
      const fresh: Inboxes = new Map();
      // A million INBOXes are in a few hundred places: each place is kept as one string.
      const places = new Map<string, string>();
      const update = master.command('UPDATE', (response) => takeResponse(fresh, places, response));
      await untilAborted(update, closing);
      this.#inboxes = fresh;
      this.#connection = master;
      this.#firstCopy.resolve();
      log.info('directory-copy-complete', { source: label, server: server.label, inboxes: fresh.size });
      while (master.isOpen) {
        await Promise.race([master.ended, wait(noopMs, undefined, { signal: closing, ref: false })]);
        // An answer that has not come by now will not come: this finds a dead peer.
        await untilAborted(master.command('NOOP'), AbortSignal.any([closing, AbortSignal.timeout(silenceMs)]));
      }
    } finally {
      this.#connection = undefined;
      master.close();
    }
  }
}

/** Takes one response into the copy. */
function takeResponse(inboxes: Inboxes, places: Map<string, string>, response: MupdateResponse): void {
  const [name] = response.strings;
  if (name === undefined) throw badAnswer('the master sent a response without a mailbox');
  if (!isInbox(name)) return;
  if (response.kind === 'DELETE') {
    inboxes.delete(name);
    return;
  }
  const location = locationIn(response);
  if (location !== undefined && !places.has(location)) places.set(location, location);
  inboxes.set(name, location === undefined ? undefined : places.get(location));
}
