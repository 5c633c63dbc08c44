import { explainFailure } from '../core/connection-failure.ts';
import { withDeadline } from '../core/deadline.ts';
import { PosternError } from '../core/error.ts';
import { couldNotAsk } from './source.ts';

/** The servers of a source, and how to connect to one of them. */
interface ServerFailoverOptions<Server, Connection> {
  readonly servers: readonly Server[];
  /** The time that one question has in all; each server gets its share of it. */
  readonly timeoutMs: number;
  readonly label: (server: Server) => string;
  readonly open: (server: Server, timeoutMs: number) => Promise<Connection> | Connection;
  /** Whether a kept connection may be used again. */
  readonly isUsable?: (connection: Connection) => boolean;
  readonly close: (connection: Connection) => Promise<void> | void;
}

interface KeptConnection<Connection> {
  readonly connection: Promise<Connection>;
  hasAnswered: boolean;
}

type ServerQuestion<Connection, Answer> = (connection: Connection, timeoutMs: number) => Promise<Answer>;

/** Keeps one connection (or pool) to one of several equal servers, and moves on to the next when it fails. */
export class ServerFailover<Server, Connection> implements AsyncDisposable {
  readonly #options: ServerFailoverOptions<Server, Connection>;
  readonly #shareMs: number;
  #current = 0;
  #kept: KeptConnection<Connection> | undefined;

  constructor(options: ServerFailoverOptions<Server, Connection>) {
    this.#options = options;
    this.#shareMs = Math.ceil((options.timeoutMs * 0.9) / options.servers.length);
  }

  /**
   * Asks the server that answered last, then the others. A PosternError that `question` throws is a server's answer
   * and final; any other error is the connection's, and the next server is asked. Rejects with {@link couldNotAsk} when
   * none is left.
   */
  async use<Answer>(question: ServerQuestion<Connection, Answer>, signal: AbortSignal): Promise<Answer> {
    const { servers, label } = this.#options;
    let failure: unknown;
    let server: Server | undefined;
    for (let tries = 0; tries <= servers.length; tries += 1) {
      server = servers[this.#current];
      if (server === undefined) break;
      try {
        return await this.#ask(server, question, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (isFinal(error)) throw error;
        failure = error;
      }
    }
    const why = explainFailure(failure) || (failure instanceof Error ? failure.name : '');
    throw couldNotAsk(`${server === undefined ? 'no server' : label(server)} could not be asked: ${why}`, failure);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const last = this.#kept;
    this.#kept = undefined;
    await last?.connection.then(this.#options.close).catch(() => {});
  }

  async #ask<Answer>(
    server: Server,
    question: ServerQuestion<Connection, Answer>,
    signal: AbortSignal,
  ): Promise<Answer> {
    const { label, isUsable = () => true } = this.#options;
    const kept = this.#kept ?? this.#connect(server);
    const deadline = { source: 'directory', ms: this.#shareMs, what: label(server) } as const;
    try {
      const answer = await withDeadline(deadline, signal, async () => {
        const connection = await kept.connection;
        if (!isUsable(connection)) throw new Error('the connection is closed');
        return question(connection, this.#shareMs);
      });
      kept.hasAnswered = true;
      return answer;
    } catch (error) {
      if (!isFinal(error) && !signal.aborted) this.#drop(kept, error);
      throw error;
    }
  }

  #connect(server: Server): KeptConnection<Connection> {
    const connection = Promise.resolve().then(() => this.#options.open(server, this.#shareMs));
    // Each question awaits the connection itself; if all have gone, a failure must not count as unhandled.
    connection.catch(() => {});
    this.#kept = { connection, hasAnswered: false };
    return this.#kept;
  }

  #drop(failed: KeptConnection<Connection>, error: unknown): void {
    failed.connection.then(this.#options.close).catch(() => {});
    if (this.#kept !== failed) return;
    this.#kept = undefined;
    // A kept connection may just have been too old: its server gets another chance, unless it is one that hangs.
    if (!failed.hasAnswered || error instanceof PosternError) {
      this.#current = (this.#current + 1) % this.#options.servers.length;
    }
  }
}

function isFinal(error: unknown): boolean {
  return error instanceof PosternError && error.code !== 'ERR_DEADLINE';
}
