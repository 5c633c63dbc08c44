import type { BackendHost } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import { isOwnShortage, messageFrom, PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import type { HostEvidence } from '../core/placement.ts';
import { shortLine } from '../core/text.ts';

interface ProbeLoginsDeps<Tested extends { readonly host: BackendHost }> {
  /** The hosts that are tested now, with their intervals. */
  readonly tested: () => Iterable<readonly [tested: Tested, intervalMs: number]>;
  /** Signs in on a host and out again. Rejects if a server could not be asked. */
  readonly signIn: (tested: Tested, signal: AbortSignal) => Promise<'signed-in' | 'refused'>;
  /** Notes the result for the health of the host's webmail, like that of a user's request. */
  readonly note: (host: string, evidence: HostEvidence) => void;
  readonly clock: Clock;
  readonly log: Log;
}

const dueCheckMs = 1_000;
/** About as long as a user would wait. */
const probeDeadlineMs = 15_000;

/**
 * Signs a test account in on each host at regular intervals, through IMAP and webmail. A webmail that cannot be asked
 * counts as a failed request. An account that is refused and a mail server that does not answer are only logged, when
 * it begins and when it ends: it may be the account's fault, and IMAP has its own checks.
 */
export function createProbeLogins<Tested extends { readonly host: BackendHost }>(
  deps: ProbeLoginsDeps<Tested>,
): AsyncDisposable {
  const ended = new AbortController();
  const dueAtMs = new Map<string, number>();
  const said = new Map<string, string>();
  const running = new Map<string, Promise<void>>();
  const timer = setInterval(look, dueCheckMs).unref();

  async function test(tested: Tested): Promise<void> {
    const { name } = tested.host;
    let outcome: string;
    try {
      outcome = await deps.signIn(tested, AbortSignal.any([ended.signal, AbortSignal.timeout(probeDeadlineMs)]));
      if (outcome === 'signed-in') deps.note(name, 'good');
    } catch (error) {
      if (ended.signal.aborted) return;
      outcome = error instanceof PosternError ? error.message : shortLine(messageFrom(error));
      const isOfWebmail = !(error instanceof PosternError) || error.source !== 'imap';
      if (isOfWebmail && !isOwnShortage(error)) deps.note(name, 'failed');
    }
    if ((said.get(name) ?? 'signed-in') === outcome) return;
    said.set(name, outcome);
    if (outcome === 'signed-in') deps.log.info('probe-login-works', { host: name });
    else deps.log.warn('probe-login-failed', { host: name, why: outcome });
  }

  function look(): void {
    const nowMs = deps.clock.nowMs();
    for (const [tested, intervalMs] of deps.tested()) {
      const { name } = tested.host;
      if (running.has(name) || nowMs < (dueAtMs.get(name) ?? 0)) continue;
      dueAtMs.set(name, nowMs + intervalMs);
      running.set(
        name,
        test(tested).finally(() => running.delete(name)),
      );
    }
  }

  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      ended.abort();
      await Promise.all(running.values());
    },
  };
}
