import type { HostReport } from '../backends/health.ts';
import type { FilesRead } from '../config/referenced-files.ts';
import { type ErrorCode, PosternError } from '../core/error.ts';
import type { LoginName } from '../core/names.ts';
import type { NodeReport } from '../core/node-report.ts';
import type { AskedFor, HostEvidence } from '../core/placement.ts';
import { type AskLeader, couldNotAsk, type SourceAnswer } from '../directory/source.ts';
import type { Counts } from '../observe/exposition.ts';
import type { TrafficSlice } from '../observe/traffic.ts';
import type { UserListeners } from './parts.ts';

/**
 * An order of the first process to a worker. `start`, `reload`: with the configuration as read there. `hear`: the
 * answer to a directory question. `health`: the checks of each host. `node`: what the node says of itself, for sites
 * where the workers cannot read it from Redis. `count`: a scrape asks for its metrics.
 */
export type WorkerOrder =
  | { readonly order: 'close' }
  | { readonly order: 'start' | 'reload'; readonly filesRead: FilesRead }
  | { readonly order: 'take-out'; readonly isOut: boolean }
  | { readonly order: 'hear'; readonly reply: DirectoryReply }
  | { readonly order: 'node'; readonly report: NodeReport }
  | { readonly order: 'count' }
  | { readonly order: 'health'; readonly reports: readonly (readonly [string, HostReport])[] };

/**
 * A message of a worker to the first process. `held`: how many sessions it holds, by host. `busy`: how many requests hosts
 * have not answered yet. `state`: how much it knows of the shared state. `traffic`: what it counted since it last said so.
 */
export type WorkerReport =
  | { readonly report: 'listening' }
  | { readonly report: 'ready'; readonly ports: UserListeners['ports'] }
  | { readonly report: 'degraded'; readonly degraded: readonly string[] }
  | { readonly report: 'held' | 'busy'; readonly perHost: readonly (readonly [string, number])[] }
  | { readonly report: 'state'; readonly version: number | undefined }
  | { readonly report: 'traffic'; readonly slice: TrafficSlice }
  | { readonly report: 'counts'; readonly counts: Counts }
  | { readonly report: 'question'; readonly question: DirectoryQuestion }
  | {
      readonly report: 'evidence';
      readonly host: string;
      readonly evidence: HostEvidence;
      readonly asked?: AskedFor | undefined;
    };

/** Both ends are one program of one version, on a private channel: the key alone tells these messages from others. */

/** Whether a message from the first process is an order. */
export function isOrder(message: unknown): message is WorkerOrder {
  return typeof message === 'object' && message !== null && 'order' in message;
}

/** Whether a message from a worker is a report. */
export function isReport(message: unknown): message is WorkerReport {
  return typeof message === 'object' && message !== null && 'report' in message;
}

/** A worker's question to the first process, for a directory source that is opened only there. */
interface DirectoryQuestion {
  readonly id: number;
  readonly source: string;
  readonly name: LoginName;
}

/** The answer of the first process; `failed`: the source could not be asked. */
type DirectoryReply = { readonly id: number } & (
  | { readonly answer: SourceAnswer }
  | { readonly failed: { readonly code: ErrorCode; readonly message: string; readonly retryable: boolean } }
);

/** The first process gives up after this time; the asking worker gives up earlier. */
const answerPatienceMs = 60_000;

/** Answers a worker's question in the first process. Does not reject if the directory fails. */
export async function replyTo({ id, source, name }: DirectoryQuestion, ask: AskLeader): Promise<DirectoryReply> {
  try {
    return { id, answer: await ask(source, name, AbortSignal.timeout(answerPatienceMs)) };
  } catch (error) {
    const { code, message, retryable } = error instanceof PosternError ? error : couldNotAsk(String(error));
    return { id, failed: { code, message, retryable } };
  }
}

/** Asks the first process on behalf of a worker. `send` returns whether the channel is open. */
export function createDirectoryQuestions(send: (question: DirectoryQuestion) => boolean) {
  const waiting = new Map<number, PromiseWithResolvers<SourceAnswer>>();
  let count = 0;

  const ask: AskLeader = async (source, name, signal) => {
    signal.throwIfAborted();
    const id = (count += 1);
    const reply = Promise.withResolvers<SourceAnswer>();
    waiting.set(id, reply);
    const giveUp = (): void => reply.reject(signal.reason);
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      if (!send({ id, source, name })) throw couldNotAsk('the first process of this node is gone');
      return await reply.promise;
    } finally {
      signal.removeEventListener('abort', giveUp);
      waiting.delete(id);
    }
  };

  return {
    ask,
    /** Ignores an answer that comes too late. */
    heard(reply: DirectoryReply): void {
      const asked = waiting.get(reply.id);
      if ('answer' in reply) return asked?.resolve(reply.answer);
      const { code, message, retryable } = reply.failed;
      asked?.reject(new PosternError(code, message, { source: 'directory', retryable }));
    },
  };
}
