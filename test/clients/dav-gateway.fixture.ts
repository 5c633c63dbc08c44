import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../src/core/log.ts';
import { startGateway } from '../../src/gateway.ts';
import type { Lab } from '../lab/lab.ts';

export interface DavGatewayOptions {
  readonly lab: Lab;
  /** The webmail of backend a, whose mail server is the lab's. */
  readonly otherWebmail: string;
}

/** A gateway in front of the lab's SOGo on c, and of a Dovecot of the lab with another webmail on a. */
export interface DavGateway extends AsyncDisposable {
  readonly origin: string;
  /** The metrics, as Prometheus reads them. */
  metrics(): Promise<string>;
}

export async function startDavGateway({ lab, otherWebmail }: DavGatewayOptions): Promise<DavGateway> {
  await using opened = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'postern-dav-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'users.map'), 'carol@example.test: c\nclara@example.test: c\nalice@example.test: a\n');
  const configFile = join(folder, 'postern.yaml');
  await writeFile(
    configFile,
    `listen: 127.0.0.1:0
public_url: https://mail.example.test
trusted_proxies: [127.0.0.1/32]
operators: { listen: 127.0.0.1:0 }
sessions: { keys_file: keys }
directory:
  default_domain: example.test
  sources: [{ type: map, file: users.map }]
passdb: { tls_ca_file: "${lab.caFile}" }
login: { refusal_after: 0s }
backends:
  a: { imap: "imaps://127.0.0.11:${lab.port(993)}", webmail: "${otherWebmail}/", driver: none, dav: [/SOGo/dav] }
  c: { imap: "imaps://127.0.0.13:${lab.port(993)}", webmail: "http://127.0.0.13:${lab.port(80)}/SOGo/", driver: sogo }
shutdown: { delay: 0s, deadline: 2s }
`,
  );
  const gateway = await startGateway({ configFile, log: silentLog });
  opened.defer(() => gateway.close());
  const owned = opened.move();
  return {
    origin: `http://127.0.0.1:${gateway.ports.public}`,
    async metrics() {
      const answer = await fetch(`http://127.0.0.1:${gateway.ports.operators}/metrics`);
      return answer.text();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
