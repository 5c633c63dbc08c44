import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { MailSession } from './sessions.ts';
import type { Site } from './site.ts';

const tickMs = 2000;

/** Sends an event at once and then every two seconds, until the browser leaves or the session ends. */
export function streamEvents(response: ServerResponse, { name, sessions }: Site, session: MailSession): void {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' });
  let count = 0;
  const tick = (): void => {
    count += 1;
    response.write(`event: tick\ndata: ${JSON.stringify({ backend: name, count })}\n\n`);
  };
  tick();
  const timer = setInterval(tick, tickMs);
  const forget = sessions.onEnd(session, () => response.end());
  response.once('close', () => {
    clearInterval(timer);
    forget();
  });
}

export interface EchoSockets {
  /** Handles an upgrade request. One for another path or without a session is refused. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  close(): void;
}

/** WebSockets under `/api/echo` that echo messages, and end with the session. */
export function createEchoSockets(site: Site): EchoSockets {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: 1024 * 1024 });
  return {
    accept(request, socket, head) {
      socket.on('error', () => socket.destroy());
      const session = site.sessions.find(request.headers.cookie);
      if (request.url !== '/api/echo' || session?.user === undefined) {
        const line = session?.user === undefined ? '401 Unauthorized' : '404 Not Found';
        socket.end(`HTTP/1.1 ${line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
        return;
      }
      sockets.handleUpgrade(request, socket, head, (webSocket) => echo(webSocket, site, session));
    },
    close() {
      for (const webSocket of sockets.clients) webSocket.terminate();
      sockets.close();
    },
  };
}

function echo(webSocket: WebSocket, { name, sessions }: Site, session: MailSession): void {
  const forget = sessions.onEnd(session, () => webSocket.close(1008, 'The session ended'));
  webSocket.on('error', () => webSocket.terminate());
  webSocket.on('close', forget);
  webSocket.on('message', (payload, isBinary) => webSocket.send(payload, { binary: isBinary }));
  webSocket.send(`Hello from backend ${name}`);
}
