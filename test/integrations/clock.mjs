// Preloaded by a gateway whose clock a test sets: it is as much off as the file says at each SIGUSR2.
import { readFileSync } from 'node:fs';

const trueNow = Date.now;
let offsetMs = 0;
Date.now = () => trueNow() + offsetMs;
process.on('SIGUSR2', () => {
  offsetMs = Number(readFileSync(process.env.POSTERN_TEST_CLOCK, 'utf8'));
  process.stdout.write('"the clock was set"\n');
});
