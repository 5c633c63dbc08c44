import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCertificate } from '../passdb/certificates.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { connects, runProgram, startProgram } from '../programs.ts';

/** A real HAProxy in the foreground. */
export interface Haproxy extends AsyncDisposable {
  /** The port for clients, with TLS. */
  readonly port: number;
  /** The port for clients, without TLS. */
  readonly plainPort: number;
  /** Runs a command of its Runtime API and resolves with the answer. */
  ask(command: string): Promise<string>;
  /** Status and weight of a server, as its statistics show them. */
  server(name: string): Promise<{ readonly status: string; readonly weight: number }>;
}

/** A file of deploy/ with some texts replaced. Each must occur. */
export async function sample(name: string, replacements: Readonly<Record<string, string>>): Promise<string> {
  let text = await readFile(new URL(`../../deploy/${name}`, import.meta.url), 'utf8');
  for (const [before, after] of Object.entries(replacements)) {
    if (!text.includes(before)) throw new Error(`deploy/${name} does not hold ${before} any more`);
    text = text.replaceAll(before, after);
  }
  return text;
}

/** Ports of the sample's nodes. */
export interface Nodes {
  readonly g1: number;
  readonly g2?: number;
  /** The ports of both nodes' agents. */
  readonly agent?: number;
  /** The port for clients; a free port if left out. */
  readonly port?: number;
}

/** Starts HAProxy with a sample of deploy/ on free ports of loopback, in front of these nodes. */
export async function startHaproxy(
  name: string,
  nodes: Nodes,
  more: Readonly<Record<string, string>> = {},
): Promise<Haproxy> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-haproxy-'));
  const { cert, key } = makeCertificate('DNS:mail.example.test');
  await writeFile(join(folder, 'mail.pem'), cert + key);
  const [port, plainPort, nowhere] = [nodes.port ?? (await freePort()), await freePort(), await freePort()];
  const text = await sample(name, {
    '/etc/haproxy/certs/': join(folder, 'mail.pem'),
    'bind :443': `bind 127.0.0.1:${port}`,
    'bind :80': `bind 127.0.0.1:${plainPort}`,
    // HAProxy ignores an agent that does not answer.
    'agent-port 9091': `agent-port ${nodes.agent ?? nowhere}`,
    'server g1 10.0.0.21:8080': `server g1 127.0.0.1:${nodes.g1}`,
    'server g2 10.0.0.22:8080': `server g2 127.0.0.1:${nodes.g2 ?? nowhere}`,
    // The tests' machine may allow fewer open files.
    'maxconn 20000': 'maxconn 500',
    '/run/haproxy/admin.sock': join(folder, 'admin.sock'),
    ...more,
  });
  const file = join(folder, 'haproxy.cfg');
  await writeFile(file, text);
  await runProgram('haproxy', ['-c', '-f', file]);
  const ask = (command: string) => askSocket(join(folder, 'admin.sock'), command);
  const isReady = async () => {
    await connects(port);
    await ask('show info');
  };
  const haproxy = await startProgram('haproxy', ['-db', '-f', file], { isReady });
  return {
    port,
    plainPort,
    ask,
    async server(wanted) {
      const lines = (await ask('show stat')).split('\n');
      const names = (lines[0] ?? '').replace(/^# /, '').split(',');
      const fields = lines.map((line) => line.split(',')).find((cells) => cells[1] === wanted) ?? [];
      const field = (field: string) => fields[names.indexOf(field)] ?? '';
      return { status: field('status'), weight: Number(field('weight')) };
    },
    async [Symbol.asyncDispose]() {
      await haproxy[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function askSocket(path: string, command: string): Promise<string> {
  const socket = connect(path);
  socket.write(`${command}\n`);
  return Buffer.concat(await socket.toArray()).toString();
}
