import { setTimeout as wait } from 'node:timers/promises';
import { untilAborted } from '../../core/deadline.ts';
import { type LoginName, splitLoginName } from '../../core/names.ts';
import { shortLine } from '../../core/short-line.ts';
import { oneOf, textOrNumber, wrappedSecret } from '../../schema/scalars.ts';
import { ServerFailover } from '../server-failover.ts';
import {
  address,
  defineSource,
  type ServerAddress,
  servers,
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
 * `mode: update` keeps a copy of all INBOXes in memory, kept true by the master; while the master is away the copy
 * answers on, but "unknown" becomes "later". `mode: find` asks for each user. Both sign in with SASL PLAIN, over TLS
 * unless it is switched off.
 */
export const driver = defineSource({
  about: 'The MUPDATE master of a Cyrus Murder.',
  settings: sourceSettings({
    servers: servers(address(3905)).describe(
      'The master, and frontends that run a MUPDATE copy of their own; port 3905.',
    ),
    mode: oneOf(['update', 'find'] as const)
      .prefault('update')
      .describe(
        '`update`: all INBOXes are kept in memory, and the master tells each change. `find`: it is asked for each user.',
      ),
    user: textOrNumber('a user', 'write a user of admins in imapd.conf').describe(
      'A user in `admins` of the master’s imapd.conf.',
    ),
    password: wrappedSecret().describe('The password of this user.'),
    tls: oneOf(['starttls', 'none'] as const)
      .prefault('starttls')
      .describe('TLS or nothing; `none`: in clear.'),
    ...tlsSettings(),
  }),
  async create(settings, deps) {
    const { servers, mode, user, password, tls } = settings;

    const login: MupdateLogin = { user, password, tls: tls === 'none' ? undefined : await tlsFor(settings) };
    if (mode === 'find') return openFind(servers, login, deps);
    const { leading } = deps;
    // A node keeps one copy, however many processes it has.
    return leading === undefined
      ? createMupdateCopy(servers, login, deps)
      : { isLocal: true, ask: leading, async [Symbol.asyncDispose]() {} };
  },
});

function openFind(servers: readonly ServerAddress[], login: MupdateLogin, deps: SourceDeps): Source {
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

/** Whether a name is that of an INBOX: the folders of users are of no interest here. */
export function isInbox(name: string): boolean {
  return /^(?:[^!]*!)?user\.[^.]+$/.test(name);
}

/** Where a response says that its mailbox is: `host!partition`; undefined while it is being made or moved. */
function locationIn({ kind, strings: [, location] }: MupdateResponse): string | undefined {
  if (kind === 'RESERVE') return undefined;
  if (kind !== 'MAILBOX' || location === undefined) throw badAnswer('the master sent a response that is none here');
  return location;
}

function readLocation(location: string | undefined): SourceAnswer {
  if (location === undefined) throw couldNotAsk('the mailbox is just being made or moved');
  return { kind: 'found', home: readHost(location.split('!', 1)[0] ?? '') };
}

const firstPauseMs = 250;
const longestPauseMs = 30_000;
/** Cyrus sends a change up to five seconds late, but at once after a NOOP (RFC 3656). */
const askMs = 1000;
const silenceMs = 10_000;

/** The locations of INBOXes by name; undefined while one is being made or moved. */
type Mailboxes = Map<string, string | undefined>;

/**
 * Keeps a copy of the Murder's INBOXes: UPDATE sends all of them, and then each change. A lost connection is made again
 * with growing pauses, to the next of the servers; the old copy stays until a new one is complete.
 */
function createMupdateCopy(
  servers: readonly ServerAddress[],
  login: MupdateLogin,
  { label, log, defaultDomain, timeoutMs }: SourceDeps,
): Source {
  const closing = new AbortController();
  let mailboxes: Mailboxes | undefined;
  let connection: MupdateConnection | undefined;
  const firstCopy = Promise.withResolvers<void>();

  async function follow(server: ServerAddress): Promise<void> {
    const dialling = AbortSignal.any([closing.signal, AbortSignal.timeout(timeoutMs)]);
    const master = await connectMupdate(server, login, dialling);
    try {
      const fresh: Mailboxes = new Map();
      // A million INBOXes are in a few hundred places: each place is one string.
      const places = new Map<string, string>();
      const update = master.command('UPDATE', (response) => take(fresh, places, response));
      await untilAborted(update, closing.signal);
      mailboxes = fresh;
      connection = master;
      firstCopy.resolve();
      log.info('directory-copy-complete', { source: label, server: server.label, inboxes: fresh.size });
      while (master.isOpen) {
        await Promise.race([master.ended, wait(askMs, undefined, { signal: closing.signal, ref: false })]);
        // What the server has not said by now, it will not say: a dead peer is found out.
        await untilAborted(master.command('NOOP'), AbortSignal.any([closing.signal, AbortSignal.timeout(silenceMs)]));
      }
    } finally {
      connection = undefined;
      master.close();
    }
  }

  async function keepFollowing(): Promise<void> {
    let pauseMs = firstPauseMs;
    for (let turn = 0; !closing.signal.aborted; turn += 1) {
      const server = servers[turn % servers.length];
      if (server === undefined) return;
      const before = mailboxes;
      try {
        await follow(server);
      } catch (error) {
        if (closing.signal.aborted) return;
        const why = shortLine(error instanceof Error ? error.message : String(error));
        log.warn('directory-copy-lost', { source: label, server: server.label, why });
      }
      pauseMs = mailboxes === before ? Math.min(2 * pauseMs, longestPauseMs) : firstPauseMs;
      await wait(pauseMs, undefined, { signal: closing.signal, ref: false }).catch(() => {});
    }
  }

  const following = keepFollowing();

  return {
    isLocal: true,
    async ask(name, signal) {
      if (mailboxes === undefined) {
        const patience = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
        await untilAborted(firstCopy.promise, patience).catch(() => {
          signal.throwIfAborted();
          throw couldNotAsk(`${label} has no complete copy yet`);
        });
      }
      const inbox = inboxOf(name, defaultDomain);
      if (mailboxes?.has(inbox)) return readLocation(mailboxes.get(inbox));
      // The user may have been made while nobody told us.
      if (connection === undefined)
        throw couldNotAsk(`${label}: no server is there to ask for a user who is not in the copy`);
      return unknownUser;
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      connection?.close();
      await following;
    },
  };
}

function take(mailboxes: Mailboxes, places: Map<string, string>, response: MupdateResponse): void {
  const [name] = response.strings;
  if (name === undefined) throw badAnswer('the master sent a response without a mailbox');
  if (!isInbox(name)) return;
  if (response.kind === 'DELETE') {
    mailboxes.delete(name);
    return;
  }
  const location = locationIn(response);
  if (location !== undefined && !places.has(location)) places.set(location, location);
  mailboxes.set(name, location === undefined ? undefined : places.get(location));
}
