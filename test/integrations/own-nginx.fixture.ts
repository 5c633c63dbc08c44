import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { awaitPort, spawn, stopProgram } from '../programs.ts';

const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

/** An nginx of the test's own around a sample that listens on `port`. */
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
