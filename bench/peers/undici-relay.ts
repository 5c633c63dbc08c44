import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Pool } from 'undici';

/*
 * node undici-relay.ts PORT BACKEND
 *
 * A bare relay on undici's dispatcher, the limit of Node: it copies heads and bodies and inspects nothing. It checks no
 * session, drops no field, and separates no users.
 */

const [port = '', backend = ''] = process.argv.slice(2);
const pool = new Pool(backend, { pipelining: 1 });
const hopByHop = new Set(['connection', 'transfer-encoding', 'keep-alive']);

function pass(request: IncomingMessage, response: ServerResponse): void {
  const { method = 'GET', url = '/', rawHeaders } = request;
  const hasBody = request.headers['content-length'] !== undefined;
  pool.dispatch(
    {
      method: method === 'POST' ? 'POST' : 'GET',
      path: url,
      headers: withoutHop(rawHeaders),
      body: hasBody ? request : null,
    },
    {
      onRequestStart(controller) {
        response.on('close', () => controller.abort(new Error('the client has gone')));
      },
      onResponseStart(controller, status) {
        const raw = controller.rawHeaders;
        const fields = Array.isArray(raw) ? raw.map((part: unknown) => String(part)) : [];
        response.writeHead(status, withoutHop(fields));
        response.on('drain', () => controller.resume());
      },
      onResponseData(controller, chunk) {
        if (!response.write(chunk)) controller.pause();
      },
      onResponseEnd: () => void response.end(),
      onResponseError: () => void response.destroy(),
    },
  );
}

function withoutHop(fields: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const [name = '', value = ''] = [fields[i], fields[i + 1]];
    if (!hopByHop.has(name.toLowerCase())) kept.push(name, value);
  }
  return kept;
}

createServer(pass).listen(Number(port), '127.0.0.1');
