/**
 * The console's table of backends: `node bench/console.ts [BACKENDS]`.
 *
 * Starts a gateway with that many backends, 500 if not said, all of which are down but two, and prints the size of the
 * page and how long the gateway needs for it, beside a page of the console that shows one backend only.
 */

import { run } from '../test/cli/cli.fixture.ts';
import { startRunning } from '../test/gateway/running.fixture.ts';
import { staffBrowser } from '../test/http/console.fixture.ts';

const backends = Number(process.argv[2] ?? 500);
const rounds = 40;

let origin = '';
let server = '';
const gateway = await startRunning((yaml) => {
  const port = /^listen: 127\.0\.0\.1:(\d+)$/m.exec(yaml)?.[1] ?? '';
  [origin, server] = [`http://support.localhost:${port}`, `http://127.0.0.1:${port}`];
  const more = Array.from(
    { length: backends - 2 },
    (_, at) => `  mail${at}: { ${place(1, at)}, driver: none, standby: [{ ${place(2, at)} }] }`,
  );
  return `${yaml
    .replace('operators: { listen: 127.0.0.1:0 }', 'operators: { listen: 127.0.0.1:0, socket: state/api.sock }')
    .replace('\nbackends:\n', `\nbackends:\n${more.join('\n')}\n`)}
support: { console: "${origin}", assist: "http://assist.localhost:${new URL(origin).port}" }
`;
});

/** Every address of 127.0.0.0/8 is this machine, where nothing listens on port 9. */
function place(net: number, at: number): string {
  const address = `127.${net}.${Math.floor(at / 250)}.${(at % 250) + 1}`;
  return `imap: "imaps://${address}:9", webmail: "http://${address}:9/"`;
}

async function medianMs(browser: ReturnType<typeof staffBrowser>, path: string) {
  const times: number[] = [];
  let bytes = 0;
  for (let round = 0; round < rounds; round += 1) {
    const began = performance.now();
    const { text, status } = await browser.get(path);
    times.push(performance.now() - began);
    if (status !== 200) throw new Error(`${path}: ${status}`);
    bytes = Buffer.byteLength(text);
  }
  times.sort((a, b) => a - b);
  return { ms: times[Math.floor(rounds / 2)] ?? 0, bytes };
}

try {
  const { out } = await run(['console', '--link', '-c', gateway.configFile]);
  const browser = staffBrowser({ server, origin });
  await browser.post('/-/link', { link: /link=(\S+)/.exec(out)?.[1] ?? '' });
  const table = await medianMs(browser, '/-/backends');
  const one = await medianMs(browser, '/-/backends?name=mail7x');
  console.log(`${backends} backends: ${table.bytes} bytes, ${table.ms.toFixed(1)} ms`);
  console.log(`the same page without a row: ${one.bytes} bytes, ${one.ms.toFixed(1)} ms`);
  console.log(`ratio: ${(table.ms / one.ms).toFixed(1)}`);
} finally {
  await gateway[Symbol.asyncDispose]();
}
