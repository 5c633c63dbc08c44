import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { WebSocket } from 'ws';

/*
 * node open-connections.ts PORT
 *
 * POST / with { kind, origin, path, count, cookies }: opens so many connections to the origin, keep-alive ones after one
 * request each, or WebSockets, and answers when all are open. They stay until the next POST.
 */

interface Order {
  readonly kind: 'keep-alive' | 'web-socket';
  readonly origin: string;
  readonly path: string;
  readonly count: number;
  /** Cookie fields, used in turn. */
  readonly cookies: readonly string[];
}

const atOnce = 100;
const open = new Set<Socket | WebSocket>();

async function keepAlive({ origin, path }: Order, cookie: string): Promise<Socket> {
  const { hostname, port, host } = new URL(origin);
  const socket = connect(Number(port), hostname);
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nCookie: ${cookie}\r\n\r\n`);
  await once(socket, 'data');
  return socket;
}

async function webSocket({ origin, path }: Order, cookie: string): Promise<WebSocket> {
  const socket = new WebSocket(origin.replace('http', 'ws') + path, {
    origin,
    headers: { cookie },
    perMessageDeflate: false,
  });
  await once(socket, 'open');
  return socket;
}

async function follow(order: Order): Promise<void> {
  for (const socket of open) {
    if (socket instanceof WebSocket) socket.terminate();
    else socket.destroy();
  }
  open.clear();
  let begun = 0;
  const worker = async (): Promise<void> => {
    while (begun < order.count) {
      begun += 1;
      const cookie = order.cookies[begun % order.cookies.length] ?? '';
      const socket = await (order.kind === 'keep-alive' ? keepAlive(order, cookie) : webSocket(order, cookie));
      socket.on('error', () => open.delete(socket));
      open.add(socket);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

createServer((request, response) => {
  request
    .toArray()
    .then((chunks: Buffer[]) => follow(JSON.parse(Buffer.concat(chunks).toString())))
    .then(
      () => response.writeHead(204).end(),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
}).listen(Number(process.argv[2]), '127.0.0.1');
