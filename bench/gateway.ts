import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tlsFrontAddress } from './haproxy.ts';
import { nodeFlags } from './node-flags.ts';
import { connects, type RunningProgram, startProgram } from '../test/programs.ts';

const program = fileURLToPath(new URL('../bin/postern.mjs', import.meta.url));

export interface GatewayOptions {
  /** The folder for the configuration and the server keys. Several nodes may share it. */
  readonly folder: string;
  readonly port: number;
  readonly redisUrl: string;
  /** The lines under `backends:`. */
  readonly backends: readonly string[];
  /** The backend of all users whose name does not start with the name of another backend and a full stop. */
  readonly home: string;
  /** The port of a TLS front. */
  readonly tlsPort?: number;
  /** Further top-level lines of the configuration. */
  readonly settings?: string;
}

/** Starts a gateway node as an operator does: the real program, with a configuration file. */
export async function startGatewayNode(options: GatewayOptions): Promise<RunningProgram> {
  const { folder, port } = options;
  await mkdir(folder, { recursive: true });
  const file = join(folder, `postern-${port}.yaml`);
  await writeFile(file, configuration(options));
  await writeFile(join(folder, 'homes.regexp'), '/^([a-z0-9]+)\\./ $1\n');
  const args = [...nodeFlags, program, 'serve', '-c', file];
  return startProgram(process.execPath, args, { isReady: () => connects(port) });
}

function configuration({ folder, port, redisUrl, backends, home, tlsPort, settings = '' }: GatewayOptions): string {
  const origins = [`http://127.0.0.1:${port}`, ...(tlsPort === undefined ? [] : [`https://127.0.0.1:${tlsPort}`])];
  return `listen: 127.0.0.1:${port}
public_url: [${origins.map((origin) => `"${origin}"`).join(', ')}]
trusted_proxies: [${tlsFrontAddress}]
operators: { listen: 127.0.0.1:0 }
sessions: { redis: "${redisUrl}", keys_file: "${folder}/keys", max_per_user: 1000 }
directory:
  default_domain: bench.test
  sources:
    - { type: regex, file: homes.regexp }
    - { type: static, backend: ${home} }
backends:
${backends.map((line) => `  ${line}`).join('\n')}
log: { level: warn }
shutdown: { delay: 0s, deadline: 2s }
${settings}
`;
}
