import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Lab } from '../lab/lab.ts';
import { freePort } from '../ports.fixture.ts';
import { awaitPort, spawn, stopProgram } from '../programs.ts';

const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

/** Starts an nginx of the test's own around a sample that listens on `port`. */
export async function startNginx(http: string, port: number): Promise<AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-nginx-'));
  await chmod(folder, 0o755);
  const places = temporary.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(' ');
  const main = `daemon off; user root; pid ${folder}/pid; error_log ${folder}/error.log; events {}`;
  await writeFile(
    join(folder, 'nginx.conf'),
    `${main}\nhttp { include /etc/nginx/mime.types; access_log off; ${places}\n${http}\n}\n`,
  );
  const child = spawn('/usr/sbin/nginx', ['-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')], {
    stdio: 'ignore',
  });
  await once(child, 'spawn');
  await awaitPort(port);
  return {
    [Symbol.asyncDispose]: async () => {
      await stopProgram(child);
      await rm(folder, { recursive: true });
    },
  };
}

/** Starts nginx with the sample of integrations/sogo in front of the lab's SOGo, which trusts who knows the secret. */
export async function startTrustingNginx(
  lab: Pick<Lab, 'port'>,
  secret: string,
): Promise<AsyncDisposable & { readonly origin: string }> {
  const port = await freePort();
  const sample = await readFile(new URL('../../integrations/sogo/nginx.conf', import.meta.url), 'utf8');
  const rendered = sample
    .replaceAll('10.0.0.21', '127.0.0.1')
    .replace('REPLACE-BY-THE-SECRET-OF-THE-GATEWAY', secret)
    .replace('listen 80;', `listen 127.0.0.1:${port};`)
    .replace('http://127.0.0.1:20000', `http://127.0.0.13:${lab.port(20_001)}`);
  return { origin: `http://127.0.0.1:${port}`, ...(await startNginx(rendered, port)) };
}
