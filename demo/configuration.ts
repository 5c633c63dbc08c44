import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { domain, mailboxOwners, sam, support } from './people.ts';

/** The servers of one machine. */
interface ConfiguredHost {
  readonly imap: { readonly hostname: string; readonly port: number };
  readonly webmail: { readonly origin: string };
}

export interface ConfiguredBackends {
  readonly all: readonly (ConfiguredHost & { readonly name: string; readonly standby?: ConfiguredHost | undefined })[];
  /** The certificate of the IMAP servers, in PEM. */
  readonly certificate: string;
}

export interface GatewayPlace {
  /** A directory for the configuration and all state. */
  readonly directory: string;
  readonly port: number;
  /** Whether there are a console, a member of staff, a master user and the operators' socket. */
  readonly hasStaff?: boolean;
}

/** Writes the configuration of a gateway in front of these backends, and returns the name of its file. */
export async function writeConfiguration(backends: ConfiguredBackends, place: GatewayPlace): Promise<string> {
  const { directory } = place;
  const homes = mailboxOwners.map(({ address, backend }) => `${address}: ${backend}\n`);
  const configFile = join(directory, 'postern.yaml');
  await mkdir(join(directory, 'state'), { recursive: true, mode: 0o700 });
  await writeFile(join(directory, 'users.map'), homes.join(''));
  await writeFile(join(directory, 'ca.crt'), backends.certificate);
  if (place.hasStaff === true) await writeFile(join(directory, 'master.password'), support.password, { mode: 0o600 });
  await writeFile(configFile, configuration(backends, place));
  return configFile;
}

/** Where staff sign in, and where the mailboxes that they open are shown. */
export function staffHosts(port: number): { readonly console: string; readonly assist: string } {
  return { console: `http://support.localhost:${port}`, assist: `http://assist.localhost:${port}` };
}

/** The README lists the webmail's marks that are under `form`. */
function configuration(backends: ConfiguredBackends, { port, hasStaff = false }: GatewayPlace): string {
  const each = backends.all.map(({ name, standby, ...primary }) => {
    const more = standby === undefined ? '' : `, standby: [{ ${addressesOf(standby)} }]`;
    return `  ${name}: { ${addressesOf(primary)}${more} }`;
  });
  return `listen: 127.0.0.1:${port}
public_url:
  - http://127.0.0.1:${port}
  - http://localhost:${port}
operators: { listen: 127.0.0.1:0${hasStaff ? ', socket: state/postern.sock' : ''} }
${hasStaff ? staffSettings(port) : ''}directory:
  default_domain: ${domain}
  sources:
    - { type: map, file: users.map }
passdb: { tls_ca_file: ca.crt }
login:
  branding: { name: Postern demo }
backend_defaults:
  driver: form
${hasStaff ? hostSettings : ''}  form:
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
${hasStaff ? '    master_login: true\n' : ''}backends:
${each.join('\n')}
log: { level: warn }
shutdown: { delay: 0s, deadline: 3s }
`;
}

// IMAP is checked often, so that the list of backends says at once what has happened to a killed machine.
const hostSettings = `  master: { user: ${support.name}, password: { file: master.password } }
  health: { imap_interval: 1s }
`;

function staffSettings(port: number): string {
  const { console, assist } = staffHosts(port);
  return `support:
  console: ${console}
  assist: ${assist}
  staff: { ${sam.address}: { roles: [support, operator, auditor] } }
`;
}

function addressesOf({ imap, webmail }: ConfiguredHost): string {
  return `imap: "imaps://${imap.hostname}:${imap.port}", webmail: "${webmail.origin}/"`;
}
