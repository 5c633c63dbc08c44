import { startGateway } from '../gateway.ts';
import { parseOrder, type WorkerReport } from './workers-message.ts';

const reportEveryMs = 1_000;

/*
 * A worker: serves, and does what the first process orders. A signal that reaches the whole group (Ctrl-C, a service
 * manager) is the first process' to answer. When that one is gone, node:cluster ends this one.
 */
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);

const [configFile] = process.argv.slice(2);
if (configFile === undefined) throw new TypeError('a worker is told its configuration');
const starting = startGateway({ configFile, role: 'worker' });
// Before it serves: an order that finds nobody listening is lost.
process.on('message', (message) => {
  const order = parseOrder(message)?.order;
  if (order !== undefined) void obey(order);
});
const gateway = await starting;

let told = '';
const timer = setInterval(() => {
  const { degraded } = gateway.readiness();
  if (degraded.join() === told) return;
  told = degraded.join();
  report({ report: 'degraded', degraded });
}, reportEveryMs);
report({ report: 'ready', port: gateway.ports.public });

async function obey(order: 'reload' | 'close'): Promise<void> {
  const gateway = await starting;
  if (order === 'reload') return gateway.reload();
  await gateway.close();
  clearInterval(timer);
  process.disconnect();
}

function report(message: WorkerReport): void {
  process.send?.(message);
}
