import { EventEmitter, once } from 'node:events';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { CommandEnvironment, GatewayModule } from '../../src/cli/environment.ts';
import { runCommand } from '../../src/cli/program.ts';
import { spawn } from '../programs.ts';

/** The command as a file. */
export const bin = fileURLToPath(new URL('../../bin/postern.mjs', import.meta.url));

export interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the real command as a process of its own. */
export async function postern(
  args: readonly string[],
  options: { cwd?: string; nodeArgs?: readonly string[]; input?: string; user?: string } = {},
): Promise<Ended> {
  const { cwd, nodeArgs = [], input = '', user } = options;
  const as = user === undefined ? [] : ['setpriv', `--reuid=${user}`, '--regid=nogroup', '--clear-groups'];
  const [program = '', ...rest] = [...as, process.execPath, ...nodeArgs, bin, ...args];
  const child = spawn(program, rest, { cwd, env: { PATH: process.env['PATH'] } });
  // Nobody sits there.
  child.stdin.on('error', () => {}).end(input);
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: child.exitCode ?? -1, out, err };
}

/** Runs the real command with its output going to a file, or `|PROGRAM`; its own exit code is returned. */
export async function printedTo(place: string, args: readonly string[]): Promise<Ended> {
  const script = place.startsWith('|') ? `"$@" ${place}; exit "\${PIPESTATUS[0]}"` : `"$@" > ${place}`;
  const child = spawn('bash', ['--norc', '-c', script, 'bash', process.execPath, bin, ...args], {
    env: { PATH: process.env['PATH'] },
  });
  child.stdin.on('error', () => {}).end();
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: child.exitCode ?? -1, out, err };
}

/** Runs a command in this process, in environment of the test's own. */
export async function run(args: readonly string[], given: Partial<CommandEnvironment> = {}): Promise<Ended> {
  let out = '';
  let err = '';
  const code = await runCommand(args, {
    print: (text) => {
      out += text;
    },
    complain: (text) => {
      err += text;
    },
    lines: () => Readable.from([]),
    env: {},
    signals: new EventEmitter(),
    exit: () => {},
    loadGateway: () => Promise.reject(new Error('this test has no gateway')),
    ...given,
  });
  return { code, out, err };
}

function missing(): Promise<never> {
  return Promise.reject(new Error('this test has no such part of the gateway'));
}

/** A gateway of which a test needs a part; the rest must not be called. */
export function gatewayWith(part: Partial<GatewayModule>): () => Promise<GatewayModule> {
  const none = { startGateway: missing, buildDirectory: missing, openStore: missing, openExplain: missing };
  return async () => ({
    ...none,
    forgetHomeEverywhere: missing,
    readAuditAnchors: missing,
    renewState: missing,
    ...part,
  });
}
