import { createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { type DeliveryMap, deliveryMaps } from '../core/directory.ts';
import { PosternError } from '../core/error.ts';
import { createWarnings, type Log, type Warn } from '../core/log.ts';
import type { AskDelivery, DeliveryAnswer } from './delivery.ts';
import type { TableProtocol } from './table-protocols.ts';

/** Dependencies of a listener for Postfix's maps. */
interface TableListenerDeps {
  readonly protocol: TableProtocol;
  readonly ask: AskDelivery;
  /** The one map of a protocol that names none. */
  readonly map: () => DeliveryMap;
  /** Whether this client address may ask. */
  readonly isAllowed: (address: string) => boolean;
  readonly observe: (result: DeliveryAnswer['kind'] | 'tempfail') => void;
  readonly limits?: TableLimits;
  readonly clock: Clock;
  readonly log: Log;
}

/** Limits of a listener for Postfix's maps; times are in milliseconds. */
interface TableLimits {
  readonly connections: number;
  /** How long a question may take to arrive, and its answer to be taken. */
  readonly slowMs: number;
  /** How long a connection may be without a question. Postfix closes it after 10 s. */
  readonly idleMs: number;
}

/** A listener for Postfix's maps, which ends with its connections. */
export interface TableListener extends Disposable {
  readonly server: Server;
}

const usualLimits: TableLimits = { connections: 1000, slowMs: 10_000, idleMs: 300_000 };

/**
 * Makes a listener for one protocol of Postfix's maps. Each connection is served by itself, one question after another,
 * and read no faster than it is answered, so that nobody waits for a slow client. A client that does not speak the
 * protocol hears so and is disconnected.
 */
export function createTableListener(deps: TableListenerDeps): TableListener {
  const { connections } = deps.limits ?? usualLimits;
  const warn = createWarnings(deps.log, deps.clock);
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    const client = socket.remoteAddress ?? '';
    // The error of a connection is followed by its end.
    socket.on('error', () => {});
    const refuse = (why: string): void => {
      warn('directory-table-refused', `${client} ${why}`, { client, why });
      socket.destroy();
    };
    if (!deps.isAllowed(client)) return refuse('the address is not in directory_service.allow');
    if (open.size >= connections) return refuse(`there are ${connections} connections already`);
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    new TableConnection(socket, client, warn, deps).serve();
  });
  return {
    server,
    [Symbol.dispose]() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

/** One connection of Postfix. */
class TableConnection {
  readonly #socket: Socket;
  readonly #client: string;
  readonly #warn: Warn;
  readonly #deps: TableListenerDeps;
  readonly #limits: TableLimits;
  readonly #gone = new AbortController();
  #received: Buffer = Buffer.alloc(0);
  #isAnswering = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: Socket, client: string, warn: Warn, deps: TableListenerDeps) {
    this.#socket = socket;
    this.#client = client;
    this.#warn = warn;
    this.#deps = deps;
    this.#limits = deps.limits ?? usualLimits;
  }

  serve(): void {
    this.#socket.setNoDelay(true);
    this.#socket.once('close', () => {
      clearTimeout(this.#timer);
      this.#gone.abort();
    });
    this.#allow(this.#limits.idleMs);
    this.#socket.on('data', (bytes: Buffer) => {
      if (this.#received.length === 0 && !this.#isAnswering) this.#allow(this.#limits.slowMs);
      this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
      // A question that came before the last answer waits in here, and what follows it in the kernel.
      if (this.#isAnswering) this.#socket.pause();
      else void this.#answerAll();
    });
  }

  /** Ends the connection unless something happens in time. */
  #allow(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#socket.destroy(), ms);
  }

  /** Answers what is complete, in order. */
  async #answerAll(): Promise<void> {
    this.#isAnswering = true;
    const { protocol } = this.#deps;
    while (!this.#socket.destroyed) {
      const question = protocol.read(this.#received);
      if (question.kind === 'incomplete') break;
      if (question.kind === 'broken') return this.#hangUp(question.why);
      clearTimeout(this.#timer);
      this.#received = this.#received.subarray(question.length);
      const reply = await this.#replyTo(question);
      this.#allow(this.#limits.slowMs);
      if (!this.#socket.write(reply)) await this.#drained();
    }
    this.#isAnswering = false;
    if (this.#received.length === 0) this.#allow(this.#limits.idleMs);
    this.#socket.resume();
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.once('drain', resolve).once('close', resolve);
    });
  }

  async #replyTo(question: { readonly map: string | undefined; readonly key: string | undefined }): Promise<Buffer> {
    const { protocol, ask, log, observe } = this.#deps;
    const name = question.map ?? this.#deps.map();
    const map = deliveryMaps.find((known) => known === name);
    if (map === undefined)
      return protocol.wrong(this.#misread(`there is no such map: the maps are ${deliveryMaps.join(', ')}`));
    try {
      const { key } = question;
      const answer = key === undefined ? { kind: 'foreign' as const } : await ask(map, key, this.#gone.signal);
      observe(answer.kind);
      return protocol.reply(answer);
    } catch (error) {
      observe('tempfail');
      if (!this.#gone.signal.aborted) {
        if (error instanceof PosternError) {
          this.#warn('directory-table-unavailable', error.message, { code: error.code, why: error.message });
        } else log.error('directory-service-failed', { err: error });
      }
      return protocol.later('it cannot be said now: ask again');
    }
  }

  #hangUp(why: string): void {
    this.#allow(this.#limits.slowMs);
    this.#socket
      .removeAllListeners('data')
      .resume()
      .end(this.#deps.protocol.wrong(this.#misread(why)));
  }

  #misread(why: string): string {
    this.#warn('directory-table-misread', `${this.#client} ${why}`, { client: this.#client, why });
    return why;
  }
}
