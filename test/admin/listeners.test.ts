import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { createOperatorsListener } from '../../src/admin/listeners.ts';
import type { Readiness } from '../../src/core/http.ts';

describe("the operators' listener", () => {
  let readiness: Readiness = { ready: false, degraded: [] };
  const server = createOperatorsListener({
    readiness: () => readiness,
    metrics: { contentType: 'text/plain; version=0.0.4', text: async () => 'postern_sessions_cached 3\n' },
    hostNames: () => ['postern.monitoring.example.org'],
    api: async (_request, response, way) => void response.end(`the API by ${way}`),
  });
  let port = 0;
  before(async () => {
    await once(server.listen(0, '127.0.0.1'), 'listening');
    port = (server.address() as AddressInfo).port;
  });
  after(() => {
    server.close();
    server.closeAllConnections();
  });

  const get = async (path: string, method = 'GET') => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
    return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
  };

  it('leads to the API, which asks for its token itself', async () => {
    assert.equal((await get('/api/v1/backends', 'PUT')).text, 'the API by tcp');
  });

  it('shows the metrics in the format that Prometheus asks for', async () => {
    assert.deepEqual(await get('/metrics'), {
      status: 200,
      type: 'text/plain; version=0.0.4',
      text: 'postern_sessions_cached 3\n',
    });
  });

  it('refuses a Host that may be a stranger’s domain, and answers probes under any', async () => {
    const ours = ['127.0.0.1:9090', '[::1]:9090', '10.0.0.21', 'localhost:9090', 'postern:9090', '', 'x.localhost'];
    for (const host of [...ours, 'Postern.Monitoring.example.org:9090']) {
      assert.equal(await statusUnder(port, host, '/metrics'), '200', host);
    }
    for (const host of ['evil.test', 'evil.test:9090', '127.0.0.1.evil.test', 'monitoring.example.org', '[::1].test']) {
      assert.equal(await statusUnder(port, host, '/metrics'), '421', host);
      assert.equal(await statusUnder(port, host, '/api/v1/backends', 'PUT'), '421', host);
      assert.equal(await statusUnder(port, host, '/-/ready', 'OPTIONS'), '503', host);
    }
  });

  it('is live whatever the state of the node', async () => {
    readiness = { ready: false, degraded: [] };
    assert.equal((await get('/-/live')).status, 200);
  });

  it('is ready while the store is away, and says what is degraded', async () => {
    readiness = { ready: true, degraded: ['store'] };
    assert.deepEqual(await get('/-/ready'), {
      status: 200,
      type: 'text/plain; charset=utf-8',
      text: 'degraded: store\n',
    });
  });

  it('is not ready while it drains', async () => {
    readiness = { ready: false, degraded: [] };
    assert.equal((await get('/-/ready')).status, 503);
  });

  it('answers a check in HTTP/1.0 without a Host', async () => {
    readiness = { ready: true, degraded: [] };
    const socket = connect(port, '127.0.0.1');
    socket.end('GET /-/ready HTTP/1.0\r\n\r\n');
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk);
    assert.match(Buffer.concat(chunks).toString(), /^HTTP\/1\.1 200 OK\r\n[^]*ready\n$/);
  });

  it('has nothing else, and takes no other method', async () => {
    assert.equal((await get('/')).status, 404);
    assert.equal((await get('/metrics', 'POST')).status, 405);
  });
});

/** The status of an answer to a request under this Host. */
async function statusUnder(port: number, host: string, path: string, method = 'GET'): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(`${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  return (
    Buffer.concat(await socket.toArray())
      .toString()
      .split(' ')[1] ?? ''
  );
}
