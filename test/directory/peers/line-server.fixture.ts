import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { listening } from '../../ports.fixture.ts';

/** A small TCP server of a test, that can be away for a while and come back on its port. */
export interface LineServer extends AsyncDisposable {
  readonly port: number;
  readonly connections: ReadonlySet<Socket>;
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** Starts a server on a free port of loopback; `serve` gets each connection. */
export async function startServer(serve: (socket: Socket) => void): Promise<LineServer> {
  const connections = new Set<Socket>();
  const server = createServer((socket) => {
    connections.add(socket);
    socket.on('error', () => {}).on('close', () => connections.delete(socket));
    serve(socket);
  });
  const port = await listening(server);
  const stop = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of connections) socket.destroy();
    await closed;
  };
  return {
    port,
    connections,
    stop,
    async start() {
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
    },
    [Symbol.asyncDispose]: stop,
  };
}
