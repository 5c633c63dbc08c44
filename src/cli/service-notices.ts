import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** Sends assignments such as `READY=1` to the service manager. Never rejects. */
export type Notify = (...assignments: readonly string[]) => Promise<void>;

/**
 * Returns the way to the service manager that started this process, by sd_notify(3); undefined if none asked for
 * notices. It takes NOTIFY_SOCKET out of the environment, so that workers and programs that the gateway runs are not
 * heard as the gateway itself.
 *
 * Node has no unix datagram sockets, so systemd-notify sends each notice, after the one before. It waits until the
 * manager has read it, so a manager knows whose notice it was. `complain` is told once if it cannot be run.
 */
export function takeNotifySocket(env: NodeJS.ProcessEnv, complain: (text: string) => void): Notify | undefined {
  const socket = env['NOTIFY_SOCKET'];
  delete env['NOTIFY_SOCKET'];
  if (socket === undefined || socket === '') return undefined;
  let last = Promise.resolve();
  let hasComplained = false;
  const send = async (assignments: readonly string[]): Promise<void> => {
    try {
      const child = spawn('systemd-notify', assignments, {
        env: { PATH: env['PATH'], NOTIFY_SOCKET: socket },
        stdio: 'ignore',
      });
      const [code]: unknown[] = await once(child, 'exit');
      if (code !== 0) throw new Error(`exit status ${String(code)}`);
    } catch (error) {
      if (hasComplained) return;
      hasComplained = true;
      const why = error instanceof Error ? error.message : String(error);
      complain(`systemd-notify cannot reach ${socket} (${why}): install it in PATH, or set Type=exec in the unit\n`);
    }
  };
  return (...assignments) => (last = last.then(() => send(assignments)));
}
