import { createFollowedHealth } from '../backends/worker-health.ts';
import type { FilesRead } from '../config/referenced-files.ts';
import { systemClock } from '../core/clock.ts';
import { collectAfterStart } from '../core/garbage-collection.ts';
import { startGateway } from '../gateway.ts';
import { createDirectoryQuestions, isOrder, type WorkerOrder, type WorkerReport } from './worker-messages.ts';

const reportEveryMs = 1_000;
/** An operator who locks a user waits for what the workers know. */
const stateEveryMs = 100;

/**
 * The program of a worker, which serves and follows the orders of the first process. Signals to the whole process group
 * (Ctrl-C, a service manager) are left to the first process. When that one exits, node:cluster ends the worker.
 */
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);

const [configFile] = process.argv.slice(2);
if (configFile === undefined) throw new TypeError('a worker is told its configuration');
const followedHealth = createFollowedHealth({
  tell: (host, evidence, asked) => report({ report: 'evidence', host, evidence, asked }),
  clock: systemClock,
});
const directoryQuestions = createDirectoryQuestions((question) => report({ report: 'question', question }));
let filesRead: FilesRead = { contents: {}, included: {} };
const told = Promise.withResolvers<void>();
const worker = { health: followedHealth, askLeader: directoryQuestions.ask, filesRead: () => filesRead };
const starting = told.promise.then(() => startGateway({ configFile, worker }));
process.on('message', (message) => {
  if (isOrder(message)) void obey(message);
});
// Orders before this report would be lost: now the worker listens.
report({ report: 'listening' });
const gateway = await starting;
collectAfterStart();

const lastReports = new Map<WorkerReport['report'], string>();
const timer = setInterval(() => {
  reportChange({ report: 'degraded', degraded: gateway.readiness().degraded });
  reportChange({ report: 'held', perHost: [...gateway.heldPerHost()] });
  reportChange({ report: 'busy', perHost: [...gateway.inFlightPerHost()] });
  const slice = gateway.takeTraffic();
  if (slice.backends.length + slice.alarms.length > 0) report({ report: 'traffic', slice });
}, reportEveryMs);
const stateTimer = setInterval(() => reportChange({ report: 'state', version: gateway.stateVersion() }), stateEveryMs);
report({ report: 'ready', ports: gateway.ports });

async function obey(order: WorkerOrder): Promise<void> {
  if (order.order === 'health') return followedHealth.follow(new Map(order.reports));
  if (order.order === 'hear') return directoryQuestions.heard(order.reply);
  if (order.order === 'start') {
    filesRead = order.filesRead;
    return told.resolve();
  }
  const gateway = await starting;
  if (order.order === 'reload') {
    filesRead = order.filesRead;
    await gateway.reload();
    return;
  }
  if (order.order === 'node') return gateway.followNode(order.report);
  if (order.order === 'count') return void report({ report: 'counts', counts: await gateway.counts() });
  if (order.order === 'take-out') return gateway.takeOut(order.isOut);
  await gateway.close();
  clearInterval(timer);
  clearInterval(stateTimer);
  process.disconnect();
}

function reportChange(message: WorkerReport): void {
  const text = JSON.stringify(message);
  if (lastReports.get(message.report) === text) return;
  lastReports.set(message.report, text);
  report(message);
}

/** Sends a report; false if the first process is gone, which ends this one too. */
function report(message: WorkerReport): boolean {
  if (process.connected) process.send?.(message);
  return process.connected;
}
