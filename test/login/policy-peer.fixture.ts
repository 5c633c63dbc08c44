import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../ports.fixture.ts';
import { connects, startProgram } from '../programs.ts';

/** A request as the policy server got it. */
export interface PolicyQuestion {
  readonly method: string | undefined;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** A policy server that answers as a test says. */
export interface PolicyPeer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly asked: PolicyQuestion[];
  /** The connections that were opened to it. */
  readonly connections: number;
  answer: (response: ServerResponse, question: PolicyQuestion) => void;
}

/** The answer of a policy server that has nothing against a login. */
export function saysStatus(status: number, msg = ''): PolicyPeer['answer'] {
  return (response) => void response.end(JSON.stringify({ status, msg, r_attrs: {} }));
}

/** Starts a policy server on a free port. */
export async function startPolicyPeer(): Promise<PolicyPeer> {
  const asked: PolicyQuestion[] = [];
  let connections = 0;
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => {
      const { method, url = '', headers } = request;
      const question = { method, url, headers, body };
      asked.push(question);
      peer.answer(response, question);
    });
  });
  server.on('connection', () => (connections += 1));
  const port = await freePort();
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const peer: PolicyPeer = {
    url: `http://127.0.0.1:${port}/`,
    port,
    asked,
    get connections() {
      return connections;
    },
    answer: saysStatus(0),
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
  return peer;
}

/** The settings of a policy server that Dovecot and Postern have in common. */
export interface SharedPolicy {
  readonly url: string;
  readonly apiKey: string;
  readonly nonce: string;
  readonly mech: string;
  readonly truncate: number;
}

/** Starts a real Dovecot 2.3 that asks this policy server. Resolves with its port. */
export async function startPolicedDovecot(
  users: Readonly<Record<string, string>>,
  policy: SharedPolicy,
): Promise<AsyncDisposable & { readonly port: number }> {
  await using opened = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'postern-policy-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  await chmod(folder, 0o755);
  for (const name of ['run', 'mail']) await mkdir(join(folder, name));
  await chmod(join(folder, 'mail'), 0o777);
  const lines = Object.entries(users).map(([user, password]) => `${user}:{PLAIN}${password}\n`);
  await writeFile(join(folder, 'users'), lines.join(''));
  const port = await freePort();
  const file = join(folder, 'dovecot.conf');
  await writeFile(file, policedDovecot(folder, port, policy));
  opened.use(await startProgram('dovecot', ['-F', '-c', file], { isReady: () => connects(port) }));
  const owned = opened.move();
  return { port, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function policedDovecot(folder: string, port: number, policy: SharedPolicy): string {
  return `base_dir = ${folder}/run
state_dir = ${folder}/run
instance_name = postern-policy-${port}
log_path = ${folder}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
login_trusted_networks = 127.0.0.0/8
mail_location = maildir:~/Maildir
mail_uid = mail
mail_gid = mail
first_valid_uid = 8
# The tests ask for refusals often, and measure no times.
auth_failure_delay = 0
auth_policy_server_url = ${policy.url}
auth_policy_server_api_header = ${policy.apiKey}
auth_policy_hash_nonce = ${policy.nonce}
auth_policy_hash_mech = ${policy.mech}
auth_policy_hash_truncate = ${policy.truncate}
# Postern asks once, before the password.
auth_policy_check_after_auth = no
passdb {
  driver = passwd-file
  args = ${folder}/users
}
userdb {
  driver = static
  args = home=${folder}/mail/%u
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service imap-login {
  inet_listener imap {
    port = ${port}
  }
  inet_listener imaps {
    port = 0
  }
}
`;
}
