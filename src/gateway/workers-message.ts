/** What the first process tells a worker. */
export type WorkerOrder = { readonly order: 'reload' | 'close' };

/** What a worker tells the first process. */
export type WorkerReport =
  | { readonly report: 'ready'; readonly port: number }
  | { readonly report: 'degraded'; readonly degraded: readonly string[] };

/** Nothing for messages that are not ours: the metrics have some of their own on the same channel. */
export function parseOrder(message: unknown): WorkerOrder | undefined {
  if (typeof message !== 'object' || message === null || !('order' in message)) return undefined;
  const { order } = message;
  return order === 'reload' || order === 'close' ? { order } : undefined;
}

/** As {@link parseOrder}. */
export function parseReport(message: unknown): WorkerReport | undefined {
  if (typeof message !== 'object' || message === null || !('report' in message)) return undefined;
  const { report } = message;
  if (report === 'ready' && 'port' in message) return { report, port: Number(message.port) };
  if (report === 'degraded' && 'degraded' in message && Array.isArray(message.degraded)) {
    return { report, degraded: message.degraded.map(String) };
  }
  return undefined;
}
