import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connects, type RunningProgram, startProgram } from '../test/programs.ts';

/** The address from which the TLS front connects: the only one whose X-Forwarded-* the gateway believes. */
export const tlsFrontAddress = '127.0.0.9';

/** Starts a plain HAProxy with one thread: no session, no check, keep-alive on both sides. */
export async function startHaproxy(
  folder: string,
  port: number,
  backend: number,
  sockets: number,
): Promise<RunningProgram> {
  return start(
    folder,
    port,
    `
frontend in
  bind 127.0.0.1:${port}
  use_backend sockets if { path_beg /socket }
  default_backend files
backend files
  http-reuse always
  server one 127.0.0.1:${backend}
backend sockets
  server one 127.0.0.1:${sockets}
`,
  );
}

/** Starts HAProxy as the TLS front of another server, which it tells by X-Forwarded-*. */
export async function startTlsFront(
  folder: string,
  {
    port,
    target,
    certificateFile,
  }: { readonly port: number; readonly target: number; readonly certificateFile: string },
): Promise<RunningProgram> {
  return start(
    folder,
    port,
    `
frontend in
  bind 127.0.0.1:${port} ssl crt ${certificateFile}
  option forwardfor
  http-request set-header X-Forwarded-Proto https
  default_backend target
backend target
  http-reuse always
  server one 127.0.0.1:${target} source ${tlsFrontAddress}
`,
  );
}

async function start(folder: string, port: number, sections: string): Promise<RunningProgram> {
  const file = join(folder, `haproxy-${port}.cfg`);
  await writeFile(
    file,
    `global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 3s
  timeout client 65s
  timeout server 180s
  timeout tunnel 1h
${sections}`,
  );
  return startProgram('haproxy', ['-db', '-f', file], { isReady: () => connects(port) });
}
