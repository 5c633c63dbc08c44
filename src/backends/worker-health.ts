import type { Clock } from '../core/clock.ts';
import type { AskedFor, HostEvidence } from '../core/placement.ts';
import type { Health, HostReport } from './health.ts';
import { createTrials } from './host-health.ts';

interface FollowedHealthOptions {
  /** Tells the process that checks what a real request has seen. */
  readonly tell: (host: string, evidence: HostEvidence, asked?: AskedFor) => void;
  readonly clock: Clock;
}

/** The health of hosts as another process of this node finds it. */
interface FollowedHealth extends Health {
  /** Takes over what that process thinks, of all hosts at once. */
  follow(reports: ReadonlyMap<string, HostReport>): void;
}

/**
 * The health of a process that checks nobody itself: one of a node's does, and tells the others.
 *
 * What real requests see is told to that one, which alone makes up its mind; only a refused connection counts here at
 * once, until it has. A good answer is told only where it can change a mind: requests are many.
 */
export function createFollowedHealth({ tell, clock }: FollowedHealthOptions): FollowedHealth {
  let known: ReadonlyMap<string, HostReport> = new Map();
  const listeners = new Set<() => void>();
  /** Hosts of which something bad was told after the last good answer. */
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
      const webmail = { up: false, sinceMs: clock.nowMs(), why: 'a request was refused the connection' };
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
