import { createServer, type Server } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { WebSocket, WebSocketServer } from 'ws';
import { Visitor } from '../balancers/visitor.fixture.ts';
import { eventually } from '../eventually.fixture.ts';

/** A webmail that gives each visitor a mark, in a cookie that stays in the gateway, and greets WebSockets with it. */
export function createMarkingWebmail(): Server {
  const sockets = new WebSocketServer({ noServer: true });
  let marks = 0;
  const server = createServer((request, response) => {
    if (request.url !== '/enter') return response.end(markIn(request.headers.cookie));
    marks += 1;
    return response.setHeader('set-cookie', `mark=${marks}; Path=/; HttpOnly`).end(String(marks));
  });
  server.on('upgrade', (request, socket, head) => {
    sockets.handleUpgrade(request, socket, head, (accepted) => {
      accepted.on('message', (text: Buffer) => accepted.send(`${markIn(request.headers.cookie)} ${text.toString()}`));
    });
  });
  server.once('close', () => sockets.close());
  return server;
}

function markIn(cookies: string | undefined): string {
  return /(?:^|; ?)mark=(\w+)/.exec(cookies ?? '')?.[1] ?? '';
}

/** A user with a session and one WebSocket, which is opened again whenever it closes. */
export class Correspondent implements Disposable {
  readonly #visitor: Visitor;
  readonly #port: number;
  readonly #from: string;
  readonly #origin: string;
  #socket: WebSocket | undefined;
  #isDone = false;
  mark = '';
  reconnects = 0;
  /** Answers and failures that a user would have noticed. */
  readonly refusals: string[] = [];

  constructor(origin: string, port: number, from: string) {
    this.#visitor = new Visitor(origin, port, from, false);
    this.#origin = origin;
    this.#port = port;
    this.#from = from;
  }

  /** Signs in, gets a mark, and opens the WebSocket. */
  async arrive(user: string, password: string): Promise<void> {
    let reply = await this.#visitor.signIn(password, user);
    // A thousand people do not sign in within a minute: the test's own mail server may be late.
    for (let tries = 1; reply.status === 503 && tries < 10; tries += 1) {
      await setTimeout(1_000);
      reply = await this.#visitor.signIn(password, user);
    }
    if (reply.status !== 303) throw new Error(`sign-in of ${user}: ${reply.status} ${reply.body}`);
    this.mark = (await this.#visitor.get('/enter')).body;
    // The other node has it a moment later.
    await eventually(async () => (await this.#visitor.get('/arrived')).body === this.mark, 'the mark is known');
    this.#connect();
  }

  /** Reads a page and notes everything but the own mark as a refusal. */
  async read(): Promise<void> {
    try {
      const { status, body } = await this.#visitor.get('/arrived');
      if (status !== 200 || body !== this.mark) this.refusals.push(`GET ${status} ${body.slice(0, 80)}`);
    } catch (error) {
      this.refusals.push(`GET ${String(error)}`);
    }
  }

  /** Resolves once a message came back over the WebSocket. */
  async hears(): Promise<boolean> {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return false;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const onMessage = (text: Buffer) => resolve(text.toString() === `${this.mark} news`);
    const onClose = () => resolve(false);
    socket.once('message', onMessage).once('close', onClose);
    socket.send('news');
    const heard = await promise;
    socket.off('message', onMessage).off('close', onClose);
    return heard;
  }

  #connect(): void {
    const { host } = new URL(this.#origin);
    const cookie = [...this.#visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const socket = new WebSocket(`ws://127.0.0.1:${this.#port}/socket`, {
      headers: { host, cookie },
      origin: this.#origin,
      localAddress: this.#from,
    });
    this.#socket = socket;
    socket.on('error', (error) => {
      if (!this.#isDone) this.refusals.push(`WebSocket ${error.message}`);
    });
    socket.on('close', () => {
      if (this.#isDone) return;
      this.reconnects += 1;
      // As programs in browsers do: not all at once.
      void setTimeout(Math.random() * 1_000).then(() => this.#isDone || this.#connect());
    });
  }

  [Symbol.dispose](): void {
    this.#isDone = true;
    this.#socket?.terminate();
    this.#visitor[Symbol.dispose]();
  }
}
