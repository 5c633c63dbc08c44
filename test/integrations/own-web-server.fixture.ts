import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Lab } from '../lab/lab.ts';
import { freePort } from '../ports.fixture.ts';
import { awaitPort, connects, spawn, startProgram, stopProgram } from '../programs.ts';

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
export async function startTrustingNginx(lab: Pick<Lab, 'port'>, secret: string): Promise<OwnWebServer> {
  return startSogoWeb('nginx', { sogodPort: lab.port(20_001), secret });
}

/** A web server with one of this project's samples. */
export type OwnWebServer = AsyncDisposable & { readonly origin: string };

/** Starts a web server with its sample of integrations/sogo, in front of a sogod of the lab's c, for this machine alone. */
export async function startSogoWeb(
  server: 'nginx' | 'apache',
  { sogodPort, secret }: { readonly sogodPort: number; readonly secret: string },
): Promise<OwnWebServer> {
  return startWebServer(server, `sogo/${server}.conf`, (sample) =>
    sample
      .replaceAll('REPLACE-BY-THE-SECRET-OF-THE-GATEWAY', secret)
      .replaceAll('http://127.0.0.1:20000', `http://127.0.0.13:${sogodPort}`),
  );
}

/** Starts a web server with its sample for Roundcube, in front of a Roundcube of the lab, for this machine alone. */
export async function startRoundcubeWeb(server: 'nginx' | 'apache', backendFolder: string): Promise<OwnWebServer> {
  return startWebServer(server, `${server}/webmail.conf`, (sample) =>
    sample
      .replace('include fastcgi_params;', 'include /etc/nginx/fastcgi_params;')
      .replaceAll('/var/lib/roundcube/public_html', `${backendFolder}/run/rc/public_html`)
      .replaceAll('/run/php/php-fpm.sock', `${backendFolder}/run/fpm.sock`),
  );
}

async function startWebServer(
  server: 'nginx' | 'apache',
  file: string,
  render: (sample: string) => string,
): Promise<OwnWebServer> {
  const port = await freePort();
  const sample = await readFile(new URL(`../../integrations/${file}`, import.meta.url), 'utf8');
  const rendered = render(sample)
    .replaceAll('10.0.0.21', '127.0.0.1')
    .replaceAll('10.0.0.22', '127.0.0.2')
    .replace('listen 80;', `listen 127.0.0.1:${port};`)
    .replace('<VirtualHost *:80>', `Listen 127.0.0.1:${port}\n<VirtualHost *:${port}>`);
  const running = await (server === 'nginx' ? startNginx(rendered, port) : startApache(rendered, port));
  return { origin: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: async () => running[Symbol.asyncDispose]() };
}

/**
 * The lines that load the modules which a sample names. Debian's Apache has the first ones from the start; mod_proxy is
 * what mod_proxy_* need, and is enabled with them.
 */
export function loadedModules(sample: string): string {
  const [, named = ''] = /^# a2enmod (.*)$/m.exec(sample) ?? [];
  return [...new Set(['mpm_event', 'authz_core', 'authz_host', 'proxy', ...named.split(' ')])]
    .map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so\n`)
    .join('');
}

/** Starts an Apache of the test's own around a sample that listens on `port`, with the modules that the sample names. */
async function startApache(sample: string, port: number): Promise<AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-apache-'));
  await chmod(folder, 0o755);
  const main = `ServerName lab.test\nUser www-data\nGroup www-data\nErrorLog ${folder}/error.log\nPidFile ${folder}/pid`;
  await writeFile(join(folder, 'apache.conf'), `${loadedModules(sample)}${main}\n${sample}\n`);
  const running = await startProgram('/usr/sbin/apache2', ['-DFOREGROUND', '-f', join(folder, 'apache.conf')], {
    isReady: () => connects(port),
  });
  return {
    [Symbol.asyncDispose]: async () => {
      await running[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}
