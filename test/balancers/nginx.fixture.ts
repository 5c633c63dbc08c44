import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCertificate } from '../passdb/certificates.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { connects, runProgram, startProgram } from '../programs.ts';
import { sample } from './haproxy.fixture.ts';

/** A real nginx in the foreground. */
export interface Nginx extends AsyncDisposable {
  /** The port for clients, with TLS. */
  readonly port: number;
}

/**
 * Starts nginx with the sample of deploy/ on a free port of loopback, in front of these nodes. `more`: further texts of
 * the sample to replace.
 */
export async function startNginx(
  nodes: { readonly g1: number; readonly g2: number },
  more: Readonly<Record<string, string>> = {},
): Promise<Nginx> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-nginx-'));
  const { cert, key } = makeCertificate('DNS:mail.example.test');
  await writeFile(join(folder, 'mail.pem'), cert);
  await writeFile(join(folder, 'mail.key'), key);
  const [port, plainPort] = [await freePort(), await freePort()];
  const site = await sample('nginx.conf', {
    '/etc/nginx/tls/fullchain.pem': join(folder, 'mail.pem'),
    '/etc/nginx/tls/privkey.pem': join(folder, 'mail.key'),
    'listen 443 ssl http2;': `listen 127.0.0.1:${port} ssl http2;`,
    'listen [::]:443 ssl http2;': '',
    'listen 80;': `listen 127.0.0.1:${plainPort};`,
    'listen [::]:80;': '',
    'webmail.example.org': 'mail.example.test',
    '10.0.0.21:8080': `127.0.0.1:${nodes.g1}`,
    '10.0.0.22:8080': `127.0.0.1:${nodes.g2}`,
    ...more,
  });
  await writeFile(join(folder, 'site.conf'), site);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${join(folder, name)};`,
  );
  const whole = `daemon off;
pid ${join(folder, 'nginx.pid')};
error_log ${join(folder, 'error.log')} warn;
worker_processes 1;
events { worker_connections 512; }
http {
  access_log off;
  ${temporary.join('\n  ')}
  include ${join(folder, 'site.conf')};
}
`;
  const file = join(folder, 'nginx.conf');
  await writeFile(file, whole);
  const args = ['-p', folder, '-e', join(folder, 'error.log'), '-c', file];
  await runProgram('nginx', ['-t', ...args]);
  const nginx = await startProgram('nginx', args, { isReady: () => connects(port), signal: 'SIGTERM' });
  return {
    port,
    async [Symbol.asyncDispose]() {
      await nginx[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
