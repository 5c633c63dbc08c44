import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type DemoBackends, startBackends } from '../../demo/backends.ts';
import { writeConfiguration } from '../../demo/configuration.ts';
import { Browser, fieldsIn } from '../demo/browser.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { spawn } from '../programs.ts';

const program = fileURLToPath(new URL('../../bin/postern.mjs', import.meta.url));

/** A gateway in front of the demo's backends. It has a process of its own, so that its memory can be measured. */
export interface GatewayProcess extends AsyncDisposable {
  readonly port: number;
  readonly origin: string;
  /** Signs somebody in; resolves with the browser. */
  signIn(user: string, password: string): Promise<Browser>;
  /** The memory that it occupies now, and the most that it has occupied, in MiB. */
  memory(): Promise<{ readonly now: number; readonly most: number }>;
}

/** @param prepare changes the configuration of the demo */
export async function startGatewayProcess(
  prepare: (yaml: string, backends: DemoBackends) => string,
): Promise<GatewayProcess> {
  await using opened = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'postern-process-'));
  opened.defer(() => rm(directory, { recursive: true, force: true }));
  const backends = opened.use(await startBackends(Date.now()));
  const port = await freePort();
  const configFile = await writeConfiguration(backends, { directory, port });
  await writeFile(
    configFile,
    prepare(await readFile(configFile, 'utf8'), backends).replace('level: warn', 'level: info'),
  );
  const child = spawn(process.execPath, [program, 'serve', '-c', configFile], { stdio: ['ignore', 'pipe', 'pipe'] });
  opened.defer(() => end(child));
  await ready(child);
  const origin = `http://127.0.0.1:${port}`;
  const owned = opened.move();
  return {
    port,
    origin,
    async signIn(user, password) {
      const browser = new Browser(origin);
      const form = fieldsIn(await browser.text('/-/login'));
      form.set('user', user);
      form.set('password', password);
      await browser.submit('/-/login', form);
      return browser;
    },
    async memory() {
      const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
      const mebibytes = (field: string) => Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1024;
      return { now: Math.round(mebibytes('VmRSS')), most: Math.round(mebibytes('VmHWM')) };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function ready(child: ChildProcess): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const said: string[] = [];
  const note = (line: string): void => {
    said.push(line);
    if (line.includes('"event":"ready"')) resolve();
  };
  if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', note);
  if (child.stderr !== null) createInterface({ input: child.stderr }).on('line', note);
  child.once('exit', (code) => reject(new Error(`the gateway ended with ${code}:\n${said.join('\n')}`)));
  await promise;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
