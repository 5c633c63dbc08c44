import { once } from 'node:events';
import type { Server, Socket } from 'node:net';

/** A syslog server that reads frames by their octets. */
export function syslogListener(server: Server, event: 'connection' | 'secureConnection' = 'connection') {
  const messages: string[] = [];
  const sockets = new Set<Socket>();
  server.on(event, (socket: Socket) => {
    sockets.add(socket);
    let bytes = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      for (;;) {
        const [prefix, digits] = /^(\d+) /.exec(bytes.subarray(0, 8).toString('latin1')) ?? [];
        if (prefix === undefined || bytes.length < prefix.length + Number(digits)) return;
        messages.push(bytes.subarray(prefix.length, prefix.length + Number(digits)).toString('utf8'));
        bytes = bytes.subarray(prefix.length + Number(digits));
      }
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  });
  return {
    messages,
    sockets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      if (!server.listening) return;
      server.close();
      await once(server, 'close');
    },
  };
}
