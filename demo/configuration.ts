import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DemoBackends } from './backends.ts';
import { domain, people } from './people.ts';

export interface GatewayPlace {
  /** An empty directory: the configuration and all state go there. */
  readonly directory: string;
  readonly port: number;
}

/** Writes the configuration of a gateway in front of these backends, and returns the name of its file. */
export async function writeConfiguration(backends: DemoBackends, place: GatewayPlace): Promise<string> {
  const { directory } = place;
  const homes = people.map(({ address, backend }) => `${address}: ${backend}\n`);
  const configFile = join(directory, 'postern.yaml');
  await mkdir(join(directory, 'state'), { mode: 0o700 });
  await writeFile(join(directory, 'users.map'), homes.join(''));
  await writeFile(join(directory, 'ca.crt'), backends.certificate);
  await writeFile(configFile, configuration(backends, place));
  return configFile;
}

/** The README lists the webmail's marks that are under `form`. */
function configuration(backends: DemoBackends, { port }: GatewayPlace): string {
  const each = backends.all.map(
    ({ name, imap, webmail }) =>
      `  ${name}: { imap: "imaps://${imap.hostname}:${imap.port}", webmail: "${webmail.origin}/" }`,
  );
  return `listen: 127.0.0.1:${port}
public_url:
  - http://127.0.0.1:${port}
  - http://localhost:${port}
operators: { listen: 127.0.0.1:0 }
directory:
  default_domain: ${domain}
  sources:
    - { type: map, file: users.map }
passdb: { tls_ca_file: ca.crt }
login:
  branding: { name: Postern demo }
backend_defaults:
  driver: form
  form:
    page: /login
    user_field: user
    password_field: password
    success: { path: /login, status: 303, location: /mail/ }
    failure: { path: /login, status: 401 }
    lost:
      - { status: 302, location: /login }
      - { path: /api/, status: 401 }
    signed_out: { path: /logout, status: 303, removes_cookie: demo_session }
    sign_out: { method: POST, path: /logout, page: /compose }
    polls: [/api/poll, /api/events]
backends:
${each.join('\n')}
log: { level: warn }
shutdown: { delay: 0s, deadline: 3s }
`;
}
