import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { backendDefaults, createMachines, place } from '../gateway/machines.fixture.ts';
import { freePort } from '../ports.fixture.ts';

/** What the commands of the docs find: servers that run, and files under /etc/postern. */
export interface DocumentedSite extends AsyncDisposable {
  /** By absolute path. */
  readonly files: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string>>;
}

const local = ['alice', 'anna', 'bob', 'carol', 'olga', 'probe', 'sam'];
const homes: readonly (readonly [user: string, backend: string])[] = [
  ...local.map((name) => [`${name}@example.org`, name === 'bob' ? 'b' : 'a'] as const),
  ['alice@example.test', 'a'],
];

/** Starts the servers: a with a standby, b and c alone, and farm with two hosts of equal rank. */
export async function startDocumentedSite(): Promise<DocumentedSite> {
  await using opened = new AsyncDisposableStack();
  const users = homes.map(([user]) => user);
  const { start, keyPair } = createMachines(opened, users);
  const [a, standby, b, c, farm, farm2] = [
    await start('a'),
    await start('a/2'),
    await start('b'),
    await start('c'),
    await start('farm'),
    await start('farm/2'),
  ];
  const ports = { PORT: await freePort(), OPERATORS_PORT: await freePort() };
  const redisPort = await freePort();
  const postern = (weightOfC: number): string => `listen: 127.0.0.1:${ports.PORT}
public_url: http://127.0.0.1:${ports.PORT}
operators: { listen: "127.0.0.1:${ports.OPERATORS_PORT}", socket: state/postern.sock }
sessions: { store_file: /var/lib/postern/postern.sqlite, keys_file: /var/lib/postern/keys }
audit: { file: /var/log/postern/audit.jsonl }
directory:
  default_domain: example.org
  sources:
    - { type: map, file: users.map }
    - { type: hash, weights: { a: 2, b: 1, c: ${weightOfC} } }
passdb: { tls_ca_file: ca.crt }
login: { refusal_after: 0s }
${backendDefaults}backends:
  a: { ${place(a)}, standby: [{ ${place(standby)} }] }
  b: { ${place(b)} }
  c: { ${place(c)} }
  farm: { hosts: [{ ${place(farm)} }, { ${place(farm2)} }] }
support:
  console: http://support.localhost:${ports.PORT}
  assist: http://assist.localhost:${ports.PORT}
  staff: { sam@example.org: { roles: [support], domains: [example.org] }, olga@example.org: operator }
shutdown: { delay: 0s, deadline: 5s }
`;
  const map = homes.map(([user, backend]) => `${user}: ${backend}\n`).join('');
  // All commands share what Node compiles.
  const compiled = await mkdtemp(join(tmpdir(), 'postern-compiled-'));
  opened.defer(() => rm(compiled, { recursive: true, force: true }));
  const owned = opened.move();
  const webmailOfA = a.webmail.origin;
  return {
    files: {
      '/etc/postern/postern.yaml': postern(1),
      '/etc/postern/old.yaml': postern(1),
      '/etc/postern/new.yaml': postern(2),
      '/etc/postern/users.map': map,
      '/etc/postern/redis.password': 'postern\n',
      '/etc/postern/ca.crt': keyPair.certificate,
      '/etc/postern/users.txt': local.join('\n'),
      '/etc/postern/moves.txt': 'alice@example.org b\nanna@example.org  b\n',
    },
    env: {
      PORT: String(ports.PORT),
      OPERATORS_PORT: String(ports.OPERATORS_PORT),
      REDIS_PORT: String(redisPort),
      BACKEND_A: `a=imaps://127.0.0.1:${a.imapPort},${webmailOfA}/`,
      NODE_COMPILE_CACHE: compiled,
      CA: '/etc/postern/ca.crt',
      SIGN_IN: fileURLToPath(new URL('sign-in.ts', import.meta.url)),
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
