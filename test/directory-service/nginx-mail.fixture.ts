import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '../ports.fixture.ts';
import { connects, runProgram, startProgram } from '../programs.ts';

/** A real nginx as a mail proxy. */
export interface NginxMail extends AsyncDisposable {
  readonly imapPort: number;
  readonly pop3Port: number;
  readonly smtpPort: number;
}

/** Where Debian's libnginx-mod-mail puts it. */
const module = '/usr/lib/nginx/modules/ngx_mail_module.so';

/** Starts nginx's mail proxy, which asks this service with this key where a user lives. */
export async function startNginxMail(service: { readonly port: number; readonly key: string }): Promise<NginxMail> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-nginx-mail-'));
  const [imapPort = 0, pop3Port = 0, smtpPort = 0] = await freePorts(3);
  const file = join(folder, 'nginx.conf');
  await writeFile(
    file,
    `load_module ${module};
daemon off;
pid ${join(folder, 'nginx.pid')};
error_log ${join(folder, 'error.log')} info;
worker_processes 1;
events { worker_connections 256; }
mail {
  auth_http 127.0.0.1:${service.port}/auth_http;
  auth_http_header X-Postern-Key "${service.key}";
  proxy_pass_error_message on;
  server { listen 127.0.0.1:${imapPort}; protocol imap; }
  server { listen 127.0.0.1:${pop3Port}; protocol pop3; }
  server { listen 127.0.0.1:${smtpPort}; protocol smtp; smtp_auth plain; proxy_smtp_auth on; xclient off; }
}
`,
  );
  const args = ['-p', folder, '-e', join(folder, 'error.log'), '-c', file];
  await runProgram('nginx', ['-t', ...args]);
  const nginx = await startProgram('nginx', args, { isReady: () => connects(imapPort) });
  return {
    imapPort,
    pop3Port,
    smtpPort,
    async [Symbol.asyncDispose]() {
      await nginx[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
