import { Agent, createServer, request as sendRequest } from 'node:http';
import { connect } from 'node:net';

/*
 * node node-relay.ts PORT BACKEND WEB-SOCKET-BACKEND
 *
 * A bare relay on Node's own HTTP client: it copies heads, bodies and the bytes of upgraded connections, and inspects
 * nothing.
 */

const [port = '', backend = '', socketBackend = ''] = process.argv.slice(2);
const { hostname, port: backendPort } = new URL(backend);
const agent = new Agent({ keepAlive: true });

const server = createServer((request, response) => {
  const { method, url: path, headers } = request;
  const asked = sendRequest({ hostname, port: backendPort, method, path, headers, agent }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  asked.on('error', () => response.destroy());
  request.pipe(asked);
});

server.on('upgrade', (request, client, early) => {
  const { method = 'GET', url = '/', rawHeaders } = request;
  const upstream = connect(Number(new URL(socketBackend).port), '127.0.0.1');
  const fields = rawHeaders.map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join('');
  upstream.write(`${method} ${url} HTTP/1.1\r\n${fields}\r\n`);
  upstream.write(early);
  client.on('error', () => upstream.destroy());
  upstream.on('error', () => client.destroy());
  client.pipe(upstream).pipe(client);
});
server.listen(Number(port), '127.0.0.1');
