import type { HostReport } from '../backends/health.ts';
import type { FilesRead } from '../config/referenced-files.ts';
import type { AskedFor, HostEvidence } from '../core/placement.ts';
import type { DirectoryQuestion, DirectoryReply } from './directory-questions.ts';
import type { Reception } from './reception.ts';

/** What the first process tells a worker. `start`, `reload`: with the configuration as it was read there. `hear`: what it asked of the directory. `health`: what it thinks of each host. */
export type WorkerOrder =
  | { readonly order: 'close' }
  | { readonly order: 'start' | 'reload'; readonly filesRead: FilesRead }
  | { readonly order: 'take-out'; readonly isOut: boolean }
  | { readonly order: 'hear'; readonly reply: DirectoryReply }
  | { readonly order: 'health'; readonly reports: readonly (readonly [string, HostReport])[] };

/** What a worker tells the first process. `held`: how many sessions it holds, by host. */
export type WorkerReport =
  | { readonly report: 'listening' }
  | { readonly report: 'ready'; readonly ports: Reception['ports'] }
  | { readonly report: 'degraded'; readonly degraded: readonly string[] }
  | { readonly report: 'held'; readonly perHost: readonly (readonly [string, number])[] }
  | { readonly report: 'question'; readonly question: DirectoryQuestion }
  | {
      readonly report: 'evidence';
      readonly host: string;
      readonly evidence: HostEvidence;
      readonly asked?: AskedFor | undefined;
    };

/*
 * Both ends are one program of one version, on a channel that nobody else can write to: the key alone tells ours from the
 * messages of the metrics there.
 */

export function isOrder(message: unknown): message is WorkerOrder {
  return typeof message === 'object' && message !== null && 'order' in message;
}

export function isReport(message: unknown): message is WorkerReport {
  return typeof message === 'object' && message !== null && 'report' in message;
}
