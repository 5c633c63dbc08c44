import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect, parseArgs } from 'node:util';
import type { EventName, Log } from '../src/core/log.ts';
import { logEvents } from '../src/core/log-events.ts';
import { startBackends } from './backends.ts';
import { writeConfiguration } from './configuration.ts';
import { people } from './people.ts';
import { isPortFree } from './port.ts';

const usage = `Usage: npm run demo -- [--port N]

Starts two mailbox servers, a webmail on each, and Postern in front of them, all in one process on 127.0.0.1.
Nothing is installed and nothing is kept. The port is 8080 unless you name another one.
`;
const defaultPort = '8080';
const closeDeadlineMs = 5000;

async function main(): Promise<number> {
  const port = readPort();
  if (port === 'help') {
    process.stdout.write(usage);
    return 0;
  }
  if (port === undefined) {
    process.stderr.write(usage);
    return 2;
  }
  if (!(await isPortFree(port))) {
    process.stderr.write(`Port ${port} of 127.0.0.1 is in use. Name another one: npm run demo -- --port ${port + 1}\n`);
    return 1;
  }
  const stopped = stopSignal();
  await using parts = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'postern-demo-'));
  parts.defer(() => rm(directory, { recursive: true, force: true }));
  const backends = parts.use(await startBackends(Date.now()));
  const configFile = await writeConfiguration(backends, { directory, port });
  // Loaded late: neither the usage text nor an error about the port should wait half a second for it.
  const { startGateway } = await import('../src/gateway.ts');
  const gateway = await startGateway({ configFile, log: warningsOnly });
  parts.defer(() => gateway.close());
  process.stdout.on('error', () => undefined); // of `| head`: nobody reads on, and the demo goes on
  process.stdout.write(welcome(gateway.ports));
  await stopped;
  process.stdout.write('\nThe demo ends.\n');
  setTimeout(() => process.exit(1), closeDeadlineMs).unref();
  return 0;
}

/** The port of the arguments; undefined for invalid arguments. */
function readPort(): number | 'help' | undefined {
  try {
    const { values } = parseArgs({ options: { port: { type: 'string' }, help: { type: 'boolean', short: 'h' } } });
    if (values.help === true) return 'help';
    // `npm run demo --port N`, without `--` between, sets only this variable.
    const text = values.port ?? process.env['npm_config_port'] ?? defaultPort;
    const port = Number(text);
    return /^\d{1,5}$/.test(text) && port >= 1 && port <= 65_535 ? port : undefined;
  } catch {
    return undefined;
  }
}

/** Resolves at the first signal to stop. Later signals are ignored: npm repeats the one that the terminal sent. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve());
  });
}

function welcome(ports: { readonly public: number; readonly operators: number }): string {
  const origin = `http://127.0.0.1:${ports.public}`;
  const rows = people.map(({ address, password, backend }) => row(address, password, backend));
  return `ready ${origin}

${row('user', 'password', 'backend')}${rows.join('')}
What to try
  - Open ${origin} and sign in as alice; in a private window, as bob. One address, two servers:
    the colour and the bottom of each page say which one you are on.
  - Write to bob@example.test with an attachment, and see it arrive on the other backend.
  - "What arrived" shows what the webmail gets to see of your request, and a WebSocket and an event stream through Postern.
    Press "Forget me" there: the webmail loses your session, and you notice nothing.
  - Sign out in the webmail: Postern's session has ended, too. A wrong password and an unknown user look alike.
  - The operators' side: http://127.0.0.1:${ports.operators}/metrics

Ctrl-C ends the demo. Nothing is kept.
`;
}

function row(...cells: readonly [user: string, password: string, backend: string]): string {
  return `  ${cells[0].padEnd(22)}${cells[1].padEnd(18)}${cells[2]}\n`;
}

const warningsOnly: Log = {
  debug() {},
  info() {},
  warn: (event, fields) => tell('warning', event, fields),
  error: (event, fields) => tell('error', event, fields),
};

function tell(level: string, event: EventName, fields: object = {}): void {
  process.stderr.write(`${level}: ${logEvents[event].message} ${inspect(fields, { breakLength: 160 })}\n`);
}

process.exitCode = await main();
