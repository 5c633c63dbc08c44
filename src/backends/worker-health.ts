import type { Clock } from '../core/clock.ts';
import type { AskedFor, HostEvidence } from '../core/placement.ts';
import type { Health, HostReport } from './health.ts';
import { createTrials } from './host-health.ts';

interface FollowedHealthOptions {
  /** Reports the result of a real request to the process that runs the checks. */
  readonly tell: (host: string, evidence: HostEvidence, asked?: AskedFor) => void;
  readonly clock: Clock;
}

/** The health of hosts as another process of this node reports it. */
interface FollowedHealth extends Health {
  /** Takes over the reports of all hosts. */
  follow(reports: ReadonlyMap<string, HostReport>): void;
}

/**
 * Makes the health of a worker, which runs no checks: the first process of the node does, and reports to the others.
 *
 * The worker reports results of real requests to that process, which alone decides. Only a refused connection counts
 * here at once, until the next report. A good answer is reported only if it can change the state, because there are
 * many.
 */
export function createFollowedHealth({ tell, clock }: FollowedHealthOptions): FollowedHealth {
  let known: ReadonlyMap<string, HostReport> = new Map();
  const listeners = new Set<() => void>();
  /** Hosts with a bad report after their last good answer. */
  const doubted = new Set<string>();
  const takeTrial = createTrials(clock);

  function set(reports: ReadonlyMap<string, HostReport>): void {
    known = reports;
    for (const listener of listeners) listener();
  }

  function isWebmailUp(host: string): boolean {
    return known.get(host)?.webmail.up ?? true;
  }

  return {
    follow: set,
    watch() {},
    isWebmailUp,
    isUp: (host) => isWebmailUp(host) && (known.get(host)?.imap.up ?? true),
    takeTrial: (host) => known.get(host)?.webmail.hangs === undefined && takeTrial(host),
    report: (host) => known.get(host),
    reports: () => known,
    note(host, evidence, asked) {
      if (evidence === 'good') {
        if (doubted.delete(host) || !isWebmailUp(host)) tell(host, evidence);
        return;
      }
      doubted.add(host);
      tell(host, evidence, asked);
      const report = known.get(host);
      if (evidence === 'failed' || report === undefined || !report.webmail.up) return;
      const webmail = { up: false, sinceMs: clock.nowMs(), why: 'the connection of a request was refused' };
      set(new Map([...known, [host, { ...report, webmail }]]));
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async [Symbol.asyncDispose]() {
      listeners.clear();
    },
  };
}
