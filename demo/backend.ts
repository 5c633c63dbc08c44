import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startBackendHost } from './backend-host.ts';
import { openSharedDirectory } from './shared-directory.ts';

const usage = `Usage: node demo/backend.ts --name NAME [--host NAME] [--listen ADDRESS] [--imap-port N] [--web-port N]
         [--directory DIR] [--tls-name NAME]...

Starts one machine of the demo: an IMAP server (TLS at once) and a webmail. All machines with the same --directory share
their mail; without it, the mail is gone at the end. --name says which backend the pages show (a, b), --host which machine
of it. The gateway trusts DIR/shared/imap.crt, which the first machine makes for 127.0.0.1, localhost and each --tls-name.
`;

interface Wanted {
  readonly backend: string;
  readonly host: string | undefined;
  readonly listen: string;
  readonly imapPort: number;
  readonly webPort: number;
  readonly directory: string | undefined;
  readonly tlsNames: readonly string[];
}

async function main(): Promise<number> {
  const wanted = readArguments();
  if (wanted === undefined || wanted === 'help') {
    process[wanted === 'help' ? 'stdout' : 'stderr'].write(usage);
    return wanted === 'help' ? 0 : 2;
  }
  const stopped = stopSignal();
  await using parts = new AsyncDisposableStack();
  const directory = wanted.directory ?? (await ownDirectory(parts));
  const shared = await openSharedDirectory(directory, wanted.tlsNames, Date.now());
  const missing = wanted.tlsNames.find((name) => !certifies(shared.keyPair.certificate, name));
  if (missing !== undefined) {
    const made = `the first machine of ${directory} made the certificate without ${missing}`;
    process.stderr.write(`Not started: ${made}: give every --tls-name to the first, or name another --directory.\n`);
    return 1;
  }
  const { imapPort, webPort } = parts.use(await startBackendHost({ ...wanted, shared }));
  process.send?.({ imapPort, webPort });
  if (!process.connected) process.stdout.write(`ready imap ${imapPort} web ${webPort}\n`);
  await stopped;
  return 0;
}

function readArguments(): Wanted | 'help' | undefined {
  try {
    const { values } = parseArgs({
      options: {
        name: { type: 'string' },
        host: { type: 'string' },
        listen: { type: 'string', default: '127.0.0.1' },
        'imap-port': { type: 'string', default: '0' },
        'web-port': { type: 'string', default: '0' },
        directory: { type: 'string' },
        'tls-name': { type: 'string', multiple: true, default: [] },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (values.help === true) return 'help';
    const { name, host, listen, directory, 'tls-name': tlsNames } = values;
    const [imapPort, webPort] = [Number(values['imap-port']), Number(values['web-port'])];
    if (name === undefined || ![imapPort, webPort].every((port) => port >= 0 && port <= 65_535)) return undefined;
    return { backend: name, listen, imapPort, webPort, tlsNames, host, directory };
  } catch {
    return undefined;
  }
}

function certifies(certificate: string, name: string): boolean {
  const parsed = new X509Certificate(certificate);
  return (isIP(name) === 0 ? parsed.checkHost(name) : parsed.checkIP(name)) !== undefined;
}

async function ownDirectory(parts: AsyncDisposableStack): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'postern-demo-'));
  parts.defer(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** Resolves when this machine is to end: at a signal, or, under the demo, when that is gone. */
function stopSignal(): Promise<void> {
  const isUnderDemo = process.connected;
  return new Promise((resolve) => {
    process.on('SIGTERM', resolve);
    process.once('disconnect', resolve);
    // Ctrl-C reaches every process of the terminal; the demo ends its machines itself, the gateway first.
    for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => isUnderDemo || resolve());
  });
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof Error && 'syscall' in error)) throw error;
  process.stderr.write(`Not started: ${error.message}\n`); // names the port or the file
  process.exitCode = 1;
}
// The channel to the demo would keep a killed machine alive.
if (process.connected) process.disconnect();
