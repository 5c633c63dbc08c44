import { WebSocketServer } from 'ws';

/*
 * node web-socket-echo.ts PORT
 *
 * The backend of the WebSocket cases, which echoes each message.
 */

const server = new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[2]), perMessageDeflate: false });
server.on('connection', (socket) => {
  socket.on('message', (message, isBinary) => socket.send(message, { binary: isBinary }));
});
