/**
 * Asks a socketmap as Postfix does: `node bench/peers/socketmap-load.ts PORT CONNECTIONS PAUSE_MS KEY...`.
 *
 * Each connection sends a question, waits for the answer, and pauses. After SIGTERM it prints the answers per second, the
 * median and the 99th percentile of their times as JSON, and how many were "later".
 */

import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

const [port = '', connections = '', pauseMs = '', ...keys] = process.argv.slice(2);
const times: number[] = [];
let later = 0;
let isOver = false;
const beganMs = performance.now();

function quantile(share: number): number {
  return times[Math.floor((times.length - 1) * share)] ?? Number.NaN;
}

process.once('SIGTERM', () => {
  isOver = true;
  const seconds = (performance.now() - beganMs) / 1000;
  times.sort((a, b) => a - b);
  const result = {
    answers: times.length,
    perSecond: times.length / seconds,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
  };
  process.stdout.write(`${JSON.stringify({ ...result, later })}\n`, () => process.exit(0));
});

async function askOn(): Promise<void> {
  const socket = connect(Number(port), '127.0.0.1').setNoDelay(true);
  await once(socket, 'connect');
  for (let number = 0; !isOver; number += 1) {
    const question = `homes ${keys[number % keys.length]}`;
    const askedMs = performance.now();
    socket.write(`${question.length}:${question},`);
    const [reply] = await once(socket, 'data');
    times.push(performance.now() - askedMs);
    if (String(reply).includes('TEMP')) later += 1;
    if (Number(pauseMs) > 0) await pause(Number(pauseMs));
  }
}

await Promise.all(Array.from({ length: Number(connections) }, askOn));
