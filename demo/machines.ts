import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** One machine of a backend, as a process of its own. */
export interface Machine {
  readonly backend: string;
  /** Its name in the gateway: that of the backend, or, for the standby, `a/2`. */
  readonly host: string;
  readonly pid: number;
  readonly imapPort: number;
  readonly webPort: number;
}

export interface Machines extends AsyncDisposable {
  readonly all: readonly Machine[];
}

const program = fileURLToPath(new URL('backend.ts', import.meta.url));
/** Backend a has a standby. */
const wanted = [
  { backend: 'a', host: 'a' },
  { backend: 'a', host: 'a/2' },
  { backend: 'b', host: 'b' },
] as const;
const endWithinMs = 2000;

/** Starts the machines of the demo, which share the mail in `directory`. `onLoss` hears of each that ends too early. */
export async function startMachines(directory: string, onLoss: (machine: Machine) => void): Promise<Machines> {
  await using started = new AsyncDisposableStack();
  const closing = new AbortController();
  const all = await Promise.all(
    wanted.map(async ({ backend, host }) => {
      const args = ['--name', backend, '--directory', directory];
      if (host !== backend) args.push('--host', host);
      const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
      started.defer(() => end(child));
      const machine = { backend, host, pid: child.pid ?? 0, ...(await portsOf(child)) };
      child.once('exit', () => closing.signal.aborted || onLoss(machine));
      return machine;
    }),
  );
  started.defer(() => closing.abort());
  const running = started.move();
  return { all, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** The ports that a machine tells when it is ready. Rejects if it ends before. */
async function portsOf(child: ChildProcess): Promise<Pick<Machine, 'imapPort' | 'webPort'>> {
  const told = once(child, 'message').then(([ports]: unknown[]) => ports);
  const ports = await Promise.race([told, once(child, 'exit')]);
  if (!isPorts(ports)) throw new Error('a mailbox server of the demo did not start');
  return ports;
}

function isPorts(value: unknown): value is Pick<Machine, 'imapPort' | 'webPort'> {
  return typeof value === 'object' && value !== null && 'imapPort' in value && 'webPort' in value;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  const timer = setTimeout(() => child.kill('SIGKILL'), endWithinMs);
  if (child.connected) child.disconnect();
  else child.kill();
  await gone;
  clearTimeout(timer);
}
