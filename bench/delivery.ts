/**
 * Delivery by the directory: `node bench/delivery.ts [MAILS] [ROUNDS]`.
 *
 * Postfix delivers mails to two Dovecots while a user moves to and fro and a backend is in maintenance, as in
 * test/directory-service/postfix-lab.test.ts. Beside it, other clients ask the same socketmap. Prints whether each mail is
 * in one mailbox, the right one, and how fast the gateway answered, then and with nothing else to do.
 */

import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { deliverWhileMoving } from '../test/directory-service/delivery-run.fixture.ts';
import { domain, startDeliverySite } from '../test/directory-service/delivery-site.fixture.ts';
import { joinLab } from '../test/lab/lab.ts';
import { spawn } from '../test/programs.ts';

const mails = Number(process.argv[2] ?? 1000);
const rounds = Number(process.argv[3] ?? 3);
const keys = ['alice', 'bob', 'mia', 'robert+lists', 'nobody'].map((name) => `${name}@${domain}`);

await using lab = await joinLab('a', 'b');
await using site = await startDeliverySite(lab);

/** Clients that ask until they are stopped; resolves then with what they measured. */
function load(connections: number, pauseMs: number): () => Promise<string> {
  const program = new URL('peers/socketmap-load.ts', import.meta.url).pathname;
  const args = [program, site.ports.socketmap, connections, pauseMs, ...keys].map(String);
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', (text: Buffer) => (said += text.toString()));
  return async () => {
    child.kill('SIGTERM');
    await once(child, 'close');
    const { answers, perSecond, p50Ms, p99Ms, later } = JSON.parse(said);
    const times = `median ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms`;
    return `${answers} lookups, ${Math.round(perSecond)} a second, ${times}, ${later} of them "later"`;
  };
}

for (let round = 1; round <= rounds; round += 1) {
  const stopLoad = load(8, 10);
  const beganMs = performance.now();
  const { lost, misplaced, twice, mails: sent } = await deliverWhileMoving(site, { mails });
  const seconds = ((performance.now() - beganMs) / 1000).toFixed(1);
  process.stdout.write(
    `round ${round}: ${sent} mails in ${seconds} s; lost ${lost.length}, misplaced ${misplaced.length}, twice ${twice.length}\n` +
      `  meanwhile: ${await stopLoad()}\n`,
  );
  // The next round begins at the first home again.
  if (round < rounds) await site.postern('user', 'move', 'mia', '--to', 'a', '--reason', 'next round');
}
const stopLoad = load(16, 0);
await pause(10_000);
process.stdout.write(`16 connections, nothing else to do: ${await stopLoad()}\n`);
