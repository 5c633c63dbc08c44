import { connect, createServer, type Socket } from 'node:net';
import { listening } from './ports.fixture.ts';

/** A TCP proxy to a port of loopback that tests watch and break. */
export interface TcpWay extends AsyncDisposable {
  readonly port: number;
  /** The number of connections. */
  count(): number;
  /** Delays answers from now on; answers that are already on their way keep their time. */
  delay(ms: number): void;
  /** Cuts all connections, and accepts no more. */
  close(): Promise<void>;
}

export async function startTcpWay(to: number): Promise<TcpWay> {
  let count = 0;
  let delayMs = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    count += 1;
    const onward = connect(to, '127.0.0.1');
    for (const [one, other] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      sockets.add(one);
      one
        .on('error', () => other.destroy())
        .on('close', () => {
          sockets.delete(one);
          other.destroy();
        });
    }
    socket.pipe(onward);
    onward.on('data', (bytes: Buffer) => {
      if (delayMs === 0) socket.write(bytes);
      else setTimeout(() => socket.writable && socket.write(bytes), delayMs);
    });
  });
  const port = await listening(server);
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  return {
    port,
    count: () => count,
    delay(ms) {
      delayMs = ms;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
