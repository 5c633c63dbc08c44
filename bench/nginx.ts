import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connects, type RunningProgram, startProgram } from '../test/programs.ts';

/** Starts an nginx with one worker and these `server` and `upstream` blocks. Its files are in `folder`. */
export async function startNginx(folder: string, port: number, blocks: string): Promise<RunningProgram> {
  await mkdir(join(folder, 'temp'), { recursive: true });
  const file = join(folder, 'nginx.conf');
  await writeFile(file, configuration(folder, blocks));
  return startProgram('nginx', ['-c', file, '-e', 'stderr'], { isReady: () => connects(port) });
}

function configuration(folder: string, blocks: string): string {
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `  ${kind}_temp_path ${folder}/temp;`,
  );
  return `daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 40000;
pid ${folder}/nginx.pid;
events { worker_connections 16384; }
http {
  access_log off;
  sendfile on;
  tcp_nodelay on;
  # Else each 1,000 requests cost a new connection.
  keepalive_requests 100000000;
  open_file_cache max=1000;
${temp.join('\n')}
${blocks}
}
`;
}

/** Starts the webmail of the benchmark: files, and a path that reads a whole upload before it answers. */
export function backendBlocks(root: string, port: number): string {
  return `
  server {
    listen 127.0.0.1:${port} backlog=4096;
    root ${root};
    location = /upload {
      # Passed on without its body, which nginx has then read to the end.
      client_max_body_size 0;
      client_body_buffer_size 16m;
      proxy_pass http://127.0.0.1:${port}/taken;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_method GET;
    }
    location = /taken { return 204; }
  }`;
}

export interface GuardOptions {
  readonly port: number;
  readonly tls?: { readonly port: number; readonly certificateFile: string };
  readonly backend: number;
  readonly webSockets: number;
  readonly service: number;
}

/**
 * Starts nginx with auth_request before each request, as its documentation says, with keep-alive connections
 * everywhere.
 */
export function guardBlocks({ port, tls, backend, webSockets, service }: GuardOptions): string {
  const listen =
    tls === undefined
      ? ''
      : `listen 127.0.0.1:${tls.port} ssl backlog=4096;
    ssl_certificate ${tls.certificateFile};
    ssl_certificate_key ${tls.certificateFile};`;
  return `
  upstream backend { server 127.0.0.1:${backend}; keepalive 256; keepalive_requests 100000000; }
  upstream service { server 127.0.0.1:${service}; keepalive 256; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    ${listen}
    proxy_http_version 1.1;
    client_max_body_size 0;
    location / {
      auth_request /auth;
      auth_request_set $user $upstream_http_x_user;
      proxy_pass http://backend;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Remote-User $user;
    }
    location /socket {
      auth_request /auth;
      proxy_pass http://127.0.0.1:${webSockets};
      proxy_set_header Connection upgrade;
      proxy_set_header Upgrade $http_upgrade;
    }
    location = /auth {
      internal;
      proxy_pass http://service;
      proxy_pass_request_body off;
      proxy_set_header Connection "";
      proxy_set_header Content-Length "";
    }
  }`;
}
