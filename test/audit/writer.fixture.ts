import { randomBytes } from 'node:crypto';
import { createAudit } from '../../src/audit/audit.ts';
import { silentLog } from '../../src/core/log.ts';

/*
 * A process that writes into an audit: `writer.ts FILE KEY COUNT`, COUNT lines or, without it, lines until it is killed.
 * It prints how many it was promised to be on disk, after each, and why one was not.
 */
const [file = '', secret = '', count = 'Infinity'] = process.argv.slice(2);
const key = { id: '5a6b7c8d', secret: Buffer.from(secret, 'hex') };
const audit = createAudit({
  file,
  node: `process ${process.pid}`,
  key: () => key,
  clock: { nowMs: () => Date.now() },
  randomBytes,
  log: silentLog,
});
for (let done = 1; done <= Number(count); done += 1) {
  try {
    await audit.record({ event: 'role-used', actor: 'sam', facts: { text: 'x'.repeat(done % 300) } });
    console.log(`written ${done}`);
  } catch (error) {
    console.log(`refused: ${String(error)}`);
    break;
  }
}
