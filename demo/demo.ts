import { rmSync } from 'node:fs';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Gateway } from '../src/gateway.ts';
import { type ConfiguredBackends, staffHosts, writeConfiguration } from './configuration.ts';
import { type Machine, startMachines } from './machines.ts';
import { sam } from './people.ts';
import { isPortFree } from './port.ts';
import { createScreen, type Screen } from './screen.ts';
import type { AuthenticatorApp } from './second-factor.ts';
import { openSharedDirectory } from './shared-directory.ts';
import { welcome } from './welcome.ts';

const usage = `Usage: npm run demo -- [--port N]

Starts two mail servers with a webmail each, one of them with a standby, and Postern in front of them, on 127.0.0.1.
Nothing is installed and nothing is kept. The port is 8080, or the next free one, unless you name another one.
`;
const firstPort = 8080;
const portsTried = 50;
const closeDeadlineMs = 5000;

async function main(): Promise<number> {
  const wanted = readPort();
  if (wanted === 'help') {
    process.stdout.write(usage);
    return 0;
  }
  if (wanted === undefined) {
    process.stderr.write(usage);
    return 2;
  }
  if (wanted !== 'any' && !(await isPortFree(wanted))) return complainOfPort(wanted);
  const stopped = stopSignal();
  const screen = createScreen(process.stdout, (text) => void process.stderr.write(text));
  await using parts = new AsyncDisposableStack();
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'postern-demo-')));
  parts.defer(() => rm(directory, { recursive: true, force: true }));
  const { keyPair } = await openSharedDirectory(directory, [], Date.now());
  const machines = parts.use(await startMachines(directory, (machine) => screen.say(lossOf(machine))));
  const backends = { all: backendsOf(machines.all), certificate: keyPair.certificate };
  const started = await startOnPort(wanted, { directory, backends, screen });
  if (started === undefined) return complainOfPort(wanted === 'any' ? firstPort : wanted);
  const { gateway, configFile } = started;
  parts.defer(() => gateway.close());
  const [{ openApi }, { enrol }] = await Promise.all([
    import('../src/cli/api-client.ts'),
    import('./second-factor.ts'),
  ]);
  const { console: consoleOrigin } = staffHosts(gateway.ports.public);
  const app = await enrol(sam, consoleOrigin, await openApi(configFile, { env: process.env }));
  screen.say(
    welcome({
      origin: `http://127.0.0.1:${gateway.ports.public}`,
      consoleOrigin,
      metricsUrl: `http://127.0.0.1:${gateway.ports.operators}/metrics`,
      configFile,
      primaryPid: machines.all[0]?.pid ?? 0,
    }),
  );
  const showing = setInterval(() => screen.setStatus(statusOf(app)), 1000);
  screen.setStatus(statusOf(app));
  await stopped;
  clearInterval(showing);
  screen.setStatus('');
  screen.say('\nThe demo ends.\n');
  setTimeout(() => {
    rmSync(directory, { recursive: true, force: true });
    process.exit(1);
  }, closeDeadlineMs).unref();
  return 0;
}

/** The gateway on the first of the wanted ports that is still free when it listens; undefined if none is. */
async function startOnPort(
  wanted: number | 'any',
  parts: { readonly directory: string; readonly backends: ConfiguredBackends; readonly screen: Screen },
): Promise<{ readonly gateway: Gateway; readonly configFile: string } | undefined> {
  const { directory, backends, screen } = parts;
  // Loaded late: neither the usage text nor an error about the port should wait half a second for it.
  const { startGateway } = await import('../src/gateway.ts');
  const ports = wanted === 'any' ? Array.from({ length: portsTried }, (_, at) => firstPort + at) : [wanted];
  for (const port of ports) {
    if (!(await isPortFree(port))) continue;
    const configFile = await writeConfiguration(backends, { directory, port, hasStaff: true });
    try {
      const gateway = await startGateway({ configFile, log: screen.log });
      if (port !== firstPort && wanted === 'any') screen.say(`Port ${firstPort} is in use: this demo has ${port}.\n`);
      return { gateway, configFile };
    } catch (error) {
      // Another demo took it in between.
      if (!isPortTaken(error instanceof Error ? error.cause : error)) throw error;
    }
  }
  return undefined;
}

function isPortTaken(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE';
}

function complainOfPort(port: number): number {
  process.stderr.write(`Port ${port} of 127.0.0.1 is in use. Name another one: npm run demo -- --port ${port + 1}\n`);
  return 1;
}

/** The port of the arguments; undefined for invalid arguments. */
function readPort(): number | 'any' | 'help' | undefined {
  try {
    const { values } = parseArgs({ options: { port: { type: 'string' }, help: { type: 'boolean', short: 'h' } } });
    if (values.help === true) return 'help';
    // `npm run demo --port N`, without `--` between, sets only this variable.
    const text = values.port ?? process.env['npm_config_port'];
    if (text === undefined) return 'any';
    const port = Number(text);
    return /^\d{1,5}$/.test(text) && port >= 1 && port <= 65_535 ? port : undefined;
  } catch {
    return undefined;
  }
}

/** Each backend with its primary and, if it has one, its standby. */
function backendsOf(machines: readonly Machine[]): ConfiguredBackends['all'] {
  const primaries = machines.filter(({ backend, host }) => backend === host);
  return primaries.map((primary) => {
    const standby = machines.find(({ backend, host }) => backend === primary.backend && host !== backend);
    return { name: primary.backend, ...addressesOf(primary), standby: standby && addressesOf(standby) };
  });
}

function addressesOf({ imapPort, webPort }: Machine) {
  return { imap: { hostname: '127.0.0.1', port: imapPort }, webmail: { origin: `http://127.0.0.1:${webPort}` } };
}

function lossOf({ host, pid }: Machine): string {
  return `Machine ${host} is gone (process ${pid}).\n`;
}

function statusOf(app: AuthenticatorApp): string {
  const { current, next } = app.codes(Date.now());
  return `Sam's code: ${current}, and if that is used, ${next}`;
}

/** Resolves at the first signal to stop. Later signals are ignored: npm repeats the one that the terminal sent. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve());
  });
}

process.exitCode = await main();
