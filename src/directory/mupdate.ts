import { createFailover } from './failover.ts';
import { connectMupdate, mupdateString, type MupdateLogin } from './mupdate-connection.ts';
import { createMupdateCopy } from './mupdate-copy.ts';
import { inboxOf, locationIn, readLocation } from './mupdate-mailbox.ts';
import type { MupdateResponse } from './mupdate-reader.ts';
import { readAddresses, type ServerAddress } from './server-address.ts';
import type { Settings } from './settings.ts';
import { badAnswer, type Source, type SourceDeps, type SourceDriver, unknownUser } from './source.ts';
import { readTls } from './tls-settings.ts';

/**
 * The list of mailboxes of a Cyrus Murder (RFC 3656), from its master or a frontend's copy.
 *
 * `mode: update` keeps a copy of all INBOXes in memory, kept true by the master; while the master is away the copy
 * answers on, but "unknown" becomes "later". `mode: find` asks for each user. Both sign in with SASL PLAIN, over TLS
 * unless it is switched off.
 */
export const driver: SourceDriver = {
  configure(settings) {
    const servers = readAddresses(settings, 'servers', 3905);
    const mode = settings.choice('mode', ['update', 'find'], 'update');
    const login = readLogin(settings);

    return async (deps) => {
      const ready = await login();
      if (mode === 'find') return openFind(servers, ready, deps);
      const { leading } = deps;
      // A node keeps one copy, however many processes it has.
      return leading === undefined
        ? createMupdateCopy(servers, ready, deps)
        : { isLocal: true, ask: leading, async [Symbol.asyncDispose]() {} };
    };
  },
};

function openFind(servers: readonly ServerAddress[], login: MupdateLogin, deps: SourceDeps): Source {
  const connections = createFailover({
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

function readLogin(settings: Settings): () => Promise<MupdateLogin> {
  const user = settings.text('user');
  const password = settings.secret('password');
  const isPlain = settings.choice('tls', ['starttls', 'none'], 'starttls') === 'none';
  const tls = readTls(settings);
  if (password === undefined) settings.problem('password', 'is required');
  return async () => {
    if (password === undefined) throw new TypeError('a source with problems is never opened');
    return { user, password, tls: isPlain ? undefined : await tls.load() };
  };
}
