import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../test/ports.fixture.ts';
import { connects, startProgram } from '../test/programs.ts';
import { startRedisServer } from '../test/redis-server.fixture.ts';
import { markdownTable, significant, withMeasured } from './report.ts';
import { seriesOf } from './statistics.ts';

/*
 * npm run bench:metrics    time and size of a scrape of a node with many backends; writes docs/metrics.md
 */

const backends = 500;
const scrapes = 20;
const page = new URL('../docs/metrics.md', import.meta.url);
const program = fileURLToPath(new URL('../bin/postern.mjs', import.meta.url));

await using opened = new AsyncDisposableStack();
const folder = await mkdtemp(join(tmpdir(), 'postern-metrics-'));
opened.defer(() => rm(folder, { recursive: true, force: true }));
const redis = opened.use(await startRedisServer());
const rows: string[][] = [];
for (const workers of [1, 2]) rows.push(await measure(workers));
const measured = [
  `A scrape of a node with ${backends} backends, each a primary with a standby: \`npm run bench:metrics\`, ${scrapes} scrapes one after the other.`,
  markdownTable({ head: ['processes that serve', 'ms, best', 'median', 'series', 'MB', 'MB by gzip'], rows }),
].join('\n\n');
console.log(measured);
await writeFile(page, withMeasured(await readFile(page, 'utf8'), measured));

async function measure(workers: number): Promise<string[]> {
  const [port, operators] = [await freePort(), await freePort()];
  const file = join(folder, `${workers}.yaml`);
  await writeFile(file, configuration(port, operators, workers));
  await using _node = await startProgram(process.execPath, [program, 'serve', '-c', file], {
    isReady: () => connects(port),
  });
  const url = `http://127.0.0.1:${operators}/metrics`;
  const times: number[] = [];
  let text = '';
  for (let nth = -1; nth < scrapes; nth += 1) {
    const startedAt = performance.now();
    text = await (await fetch(url)).text();
    if (nth >= 0) times.push(performance.now() - startedAt);
  }
  const { best, median } = seriesOf(times);
  const series = text.split('\n').filter((line) => /^[a-z]/.test(line)).length;
  const packed = await new Response(new Blob([text]).stream().pipeThrough(new CompressionStream('gzip'))).bytes();
  const sizes = [text.length, packed.length].map((bytes) => significant(bytes / 1e6));
  return [String(workers), significant(best), significant(median), String(series), ...sizes];
}

const host = (at: number): string => `imap: "imaps://127.0.0.1:${at}", webmail: "http://127.0.0.1:${at}/"`;

function configuration(port: number, operators: number, workers: number): string {
  const lines = Array.from({ length: backends }, (_, nth) => {
    return `  b${nth}: { ${host(10_000 + nth)}, standby: [{ ${host(20_000 + nth)} }] }\n`;
  });
  return `listen: 127.0.0.1:${port}
public_url: http://127.0.0.1:${port}
operators: { listen: "127.0.0.1:${operators}" }
workers: ${workers}
sessions: { redis: "${redis.url}", keys_file: metrics.keys }
directory: { default_domain: bench.test, sources: [{ type: static, backend: b0 }] }
backend_defaults: { driver: none, health: { http_interval: 0s, imap_interval: 0s } }
log: { level: error }
backends:
${lines.join('')}`;
}
