import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createCertificate } from '../../demo/certificate.ts';
import { freePort } from '../ports.fixture.ts';
import { connects, type RunningProgram, startProgram } from '../programs.ts';

const sample = fileURLToPath(new URL('../../deploy/rsyslog/postern.conf', import.meta.url));

/** A real rsyslog that runs the configuration of deploy/rsyslog, with files in a folder of its own. */
export interface Rsyslog extends AsyncDisposable {
  readonly port: number;
  /** The certificate of its server, in PEM. */
  readonly certificate: string;
  /** The lines that it wrote of the log, and of the audit. */
  log(): readonly string[];
  audit(): readonly string[];
  /** SIGKILL; `start` starts it again, on the same port with the same files. */
  kill(): Promise<void>;
  start(): Promise<void>;
}

/** Starts it, over TLS as in the sample or over TCP. */
export async function startRsyslog({ secure }: { readonly secure: boolean }): Promise<Rsyslog> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-rsyslog-'));
  const port = await freePort();
  const { certificate, key } = createCertificate(['127.0.0.1'], Date.now());
  writeFileSync(join(folder, 'logs.crt'), certificate);
  writeFileSync(join(folder, 'logs.key'), key, { mode: 0o600 });
  const configuration = readFileSync(sample, 'utf8')
    .replaceAll('/etc/rsyslog.d', folder)
    .replaceAll('/var/log', folder)
    .replace('port="6514"', `address="127.0.0.1" port="${port}"`);
  const overTcp = configuration.replace(/StreamDriver\.Name[^)]*/, '').replace(/global\([^)]*\)/, '');
  const file = join(folder, 'rsyslog.conf');
  const top = `global(maxMessageSize="64k" workDirectory="${folder}")\n`;
  writeFileSync(file, top + (secure ? configuration : overTcp));
  let running: RunningProgram | undefined;
  const start = async () => {
    running = await startProgram('rsyslogd', ['-n', '-f', file, '-iNONE'], { isReady: () => connects(port) });
  };
  const linesOf = (name: string) => {
    const path = join(folder, name);
    return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
  };
  try {
    await start();
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  return {
    port,
    certificate,
    log: () => linesOf('postern.jsonl'),
    audit: () => linesOf('postern-audit.jsonl'),
    kill: async () => running?.kill(),
    start,
    async [Symbol.asyncDispose]() {
      await running?.[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
