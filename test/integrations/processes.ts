import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';

/** Resolves when something listens there; rejects after ten seconds. */
export async function awaitPort(port: number, host = '127.0.0.1'): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (await answers(port, host)) return;
    await wait(50);
  }
  throw new Error(`nothing listens on ${host}:${port}`);
}

/** Ends a process that leads a group of its own, with the children that it has forked. */
export async function stopGroup(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  process.kill(-child.pid, 'SIGTERM');
  await gone;
}

async function answers(port: number, host: string): Promise<boolean> {
  const socket = connect(port, host);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
