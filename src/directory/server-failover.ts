import { explainFailure } from '../core/connection-failure.ts';
import { withDeadline } from '../core/deadline.ts';
import { PosternError } from '../core/error.ts';
import { couldNotAsk } from './source.ts';

interface FailoverOptions<Server, Connection> {
  readonly servers: readonly Server[];
  /** The time that one question has in all; each server gets its share of it. */
  readonly timeoutMs: number;
  readonly label: (server: Server) => string;
  readonly open: (server: Server, timeoutMs: number) => Promise<Connection> | Connection;
  /** Whether a connection that is kept may be used once more. */
  readonly isUsable?: (connection: Connection) => boolean;
  readonly close: (connection: Connection) => Promise<void> | void;
}

interface Failover<Connection> extends AsyncDisposable {
  /**
   * Asks the server that answered last, then the others. What `run` throws as a PosternError is an answer of a server
   * and final; any other error is the connection's, and the next server is asked. Rejects with {@link couldNotAsk} when
   * none is left.
   */
  use<T>(run: (connection: Connection, timeoutMs: number) => Promise<T>, signal: AbortSignal): Promise<T>;
}

interface Held<Connection> {
  readonly connection: Promise<Connection>;
  hasAnswered: boolean;
}

/** Keeps one connection (or pool) to one of several equal servers, and moves on to the next when it fails. */
export function createFailover<Server, Connection>(options: FailoverOptions<Server, Connection>): Failover<Connection> {
  const { servers, label, isUsable = () => true } = options;
  const shareMs = Math.ceil((options.timeoutMs * 0.9) / servers.length);
  let current = 0;
  let held: Held<Connection> | undefined;

  function hold(server: Server): Held<Connection> {
    const connection = Promise.resolve().then(() => options.open(server, shareMs));
    // Heard of by everybody who uses it; by nobody, if that one is gone first.
    connection.catch(() => {});
    held = { connection, hasAnswered: false };
    return held;
  }

  function letGo(failed: Held<Connection>, error: unknown): void {
    failed.connection.then(options.close).catch(() => {});
    if (held !== failed) return;
    held = undefined;
    // A kept connection may just have been too old: its server gets another chance, if it is not one that hangs.
    if (!failed.hasAnswered || error instanceof PosternError) current = (current + 1) % servers.length;
  }

  async function attempt<T>(
    server: Server,
    run: (connection: Connection, timeoutMs: number) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const mine = held ?? hold(server);
    try {
      const answer = await withDeadline({ source: 'directory', ms: shareMs, what: label(server) }, signal, async () => {
        const connection = await mine.connection;
        if (!isUsable(connection)) throw new Error('the connection is closed');
        return run(connection, shareMs);
      });
      mine.hasAnswered = true;
      return answer;
    } catch (error) {
      const isFinal = error instanceof PosternError && error.code !== 'ERR_DEADLINE';
      if (!isFinal && !signal.aborted) letGo(mine, error);
      throw error;
    }
  }

  return {
    async use(run, signal) {
      let failure: unknown;
      let server: Server | undefined;
      for (let tries = 0; tries <= servers.length; tries += 1) {
        server = servers[current];
        if (server === undefined) break;
        try {
          return await attempt(server, run, signal);
        } catch (error) {
          signal.throwIfAborted();
          if (error instanceof PosternError && error.code !== 'ERR_DEADLINE') throw error;
          failure = error;
        }
      }
      const why = explainFailure(failure) || (failure instanceof Error ? failure.name : '');
      throw couldNotAsk(`${server === undefined ? 'no server' : label(server)} could not be asked: ${why}`, failure);
    },
    async [Symbol.asyncDispose]() {
      const last = held;
      held = undefined;
      await last?.connection.then(options.close).catch(() => {});
    },
  };
}
