import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { startStandbySite } from '../gateway/standby-site.fixture.ts';
import { run } from './cli.fixture.ts';

/** A configuration whose socket belongs to something else than a gateway of this version. */
async function configurationBefore(t: TestContext, answer: RequestListener): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-peers-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const socket = join(folder, 'api.sock');
  const server = createServer(answer);
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const file = join(folder, 'postern.yaml');
  writeFileSync(file, `operators: { socket: ${socket} }\n`);
  return file;
}

const commands = [['who'], ['status'], ['node', 'list'], ['penalty', 'list'], ['stats', 'last'], ['reload']] as const;

describe('commands that do not meet a gateway of their version', () => {
  it('say so of another program, and that is no bug of Postern', async (t) => {
    const file = await configurationBefore(t, (_request, response) => response.end('<html>hello'));
    for (const words of commands) {
      const { code, out, err } = await run([...words, '-c', file]);
      assert.deepEqual([code, out], [3, ''], words.join(' '));
      assert.match(err, /^what answers at \S+api\.sock is no gateway: is another program there\?$/m);
    }
  });

  it('say so of an answer that breaks off', async (t) => {
    const file = await configurationBefore(t, (_request, response) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('{', () => response.destroy());
    });
    for (const words of commands) {
      const { code, out, err } = await run([...words, '-c', file]);
      assert.deepEqual([code, out], [3, ''], words.join(' '));
      assert.match(err, /^cannot reach the gateway at \S+api\.sock \(ECONNRESET\): /m);
    }
  });

  it('say so of a gateway that does not know their request yet: it could not be asked, which is no "no"', async (t) => {
    await using site = await startStandbySite();
    const { status, body } = await site.api('GET', '/what-comes-with-the-next-version');
    const file = await configurationBefore(t, (_request, response) => {
      response.writeHead(status).end(JSON.stringify(body));
    });
    for (const words of commands) {
      const { code, out, err } = await run([...words, '-c', file]);
      assert.deepEqual([code, out], [3, ''], words.join(' '));
      assert.equal(err, 'the gateway does not know this request: it is of another version than this command\n');
    }
  });
});
