import { setTimeout as wait } from 'node:timers/promises';
import { shortLine } from '../core/short-line.ts';
import { untilAborted } from './deadline.ts';
import { connectMupdate, type MupdateConnection, type MupdateLogin } from './mupdate-connection.ts';
import { inboxOf, isInbox, locationIn, readLocation } from './mupdate-mailbox.ts';
import type { MupdateResponse } from './mupdate-reader.ts';
import type { ServerAddress } from './server-address.ts';
import { badAnswer, couldNotAsk, type Source, type SourceDeps, unknownUser } from './source.ts';

const firstPauseMs = 250;
const longestPauseMs = 30_000;
/** Cyrus sends a change up to five seconds late, but at once after a NOOP (RFC 3656). */
const askMs = 1000;
const silenceMs = 10_000;

/** The locations of INBOXes by name; nothing while one is being made or moved. */
type Mailboxes = Map<string, string | undefined>;

/**
 * Keeps a copy of the Murder's INBOXes: UPDATE sends all of them, and then each change. A lost connection is made again
 * with growing pauses, to the next of the servers; the old copy stays until a new one is complete.
 */
export function createMupdateCopy(
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
      log.info({ source: label, server: server.label, inboxes: fresh.size }, 'directory copy is complete');
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
        log.warn({ source: label, server: server.label, why }, 'directory copy is not kept: connecting again');
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
