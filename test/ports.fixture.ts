import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

/** A port of 127.0.0.1 on which nothing listens now: for programs that cannot choose one themselves. */
export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}

/**
 * As {@link freePort}, but several that differ: all are held until the last one is known. They lie below those that the
 * system gives to outgoing connections, so that no connection of another test takes one before its program does.
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  const held: Server[] = [];
  while (held.length < count) {
    const probe = createServer();
    probe.listen(randomInt(20_000, 32_000), '127.0.0.1');
    try {
      await once(probe, 'listening');
      held.push(probe);
    } catch {
      // The port is in use: another one is tried.
    }
  }
  const ports = held.map(portOf);
  for (const probe of held) probe.close();
  await Promise.all(held.map((probe) => once(probe, 'close')));
  return ports;
}

/** Has a server listen on a free port of 127.0.0.1. Resolves with the port. */
export async function listening(server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return portOf(server);
}

/** The port of a listening server. */
export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('a listener on a port has a port');
  return address.port;
}
