import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { shortLine } from '../core/short-line.ts';

/** What a hook program is told: the first three as arguments too, all of them as POSTERN_USER, POSTERN_FROM and so on. */
export interface HookFacts {
  readonly user: string;
  readonly from: string;
  readonly to: string;
  /** The user as the mail servers of both backends are told the name; the canonical one where left out. */
  readonly fromLogin?: string;
  readonly toLogin?: string;
}

const keptOutput = 2_000;

/**
 * Runs a hook program, without a shell, and ends it at `signal`.
 * Resolves when it ended with 0; rejects with how it ended and the last it said.
 */
export async function runHook(program: string, facts: HookFacts, signal: AbortSignal): Promise<void> {
  const { user, from, to, fromLogin = user, toLogin = user } = facts;
  const env = {
    PATH: process.env['PATH'] ?? '',
    POSTERN_USER: user,
    POSTERN_FROM: from,
    POSTERN_TO: to,
    POSTERN_FROM_LOGIN: fromLogin,
    POSTERN_TO_LOGIN: toLogin,
  };
  // A program would take a name such as --x@example.org for an option.
  const args = [...(user.startsWith('-') ? ['--'] : []), user, from, to];
  const child = spawn(program, args, {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
    killSignal: 'SIGTERM',
  });
  let said = '';
  const keep = (chunk: Buffer): void => {
    said = (said + chunk.toString('utf8')).slice(-keptOutput);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  await once(child, 'close').catch((error: unknown) => {
    const why = signal.aborted ? 'took too long and was ended' : error instanceof Error ? error.message : String(error);
    throw new Error(`${program}: ${why}`);
  });
  const { exitCode, signalCode } = child;
  if (exitCode === 0) return;
  const lastLine = said.trim().split('\n').at(-1) ?? '';
  const how = exitCode === null ? `ended by ${signalCode ?? 'a signal'}` : `ended with ${exitCode}`;
  throw new Error(`${program} ${how}${lastLine === '' ? '' : `: ${shortLine(lastLine, 300)}`}`);
}
