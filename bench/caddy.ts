import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connects, type RunningProgram, startProgram } from '../test/programs.ts';

export interface CaddyOptions {
  readonly port: number;
  readonly backend: number;
  readonly service: number;
}

/** Starts Caddy with forward_auth before each request, as its documentation says. */
export async function startCaddy(folder: string, { port, backend, service }: CaddyOptions): Promise<RunningProgram> {
  const file = join(folder, 'Caddyfile');
  await writeFile(
    file,
    `{
  admin off
  auto_https off
}
http://127.0.0.1:${port} {
  bind 127.0.0.1
  forward_auth 127.0.0.1:${service} {
    uri /auth
    copy_headers X-User
  }
  reverse_proxy 127.0.0.1:${backend}
}
`,
  );
  // Otherwise Caddy keeps its configuration in the home folder.
  const env = { XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder };
  return startProgram('caddy', ['run', '--adapter', 'caddyfile', '--config', file], {
    isReady: () => connects(port),
    env,
  });
}
