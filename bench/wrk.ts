import { once } from 'node:events';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { runProgram, spawn } from '../test/programs.ts';

/** A load: requests to one server that repeat. */
export interface Load {
  readonly origin: string;
  readonly connections: number;
  readonly seconds: number;
  /** The paths, requested in turn. */
  readonly paths: readonly string[];
  /** The Cookie fields, sent in turn with each path; one for an ordinary user. */
  readonly cookies: readonly string[];
  /** The body of a POST. */
  readonly bodyBytes?: number;
  /** The mean pause between the requests of a connection; 0 sends the next request at once. */
  readonly delayMs?: number;
}

export interface LoadResult {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
}

/** The fields that Chromium sends with each request of a page. */
export const browserHeaders: Readonly<Record<string, string>> = {
  Connection: 'keep-alive',
  'sec-ch-ua': '"Chromium";v="140", "Not=A?Brand";v="24"',
  'sec-ch-ua-mobile': '?0',
  'sec-ch-ua-platform': '"Linux"',
  'User-Agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
  Accept: 'image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8',
  'Sec-Fetch-Site': 'same-origin',
  'Sec-Fetch-Mode': 'no-cors',
  'Sec-Fetch-Dest': 'image',
  Referer: 'http://webmail.example.test/?_task=mail&_mbox=INBOX',
  'Accept-Encoding': 'gzip, deflate, br, zstd',
  'Accept-Language': 'en-GB,en;q=0.9,de;q=0.8',
};

const script = fileURLToPath(new URL('requests.lua', import.meta.url));
const patience = 5;

/** Creates loads with wrk. Plans are written to `folder`. */
export function createWrk(folder: string) {
  /**
   * Rejects if a single request failed, because refusals are fast. Runs once more and longer if no request was answered
   * in time: a busy machine may need more than a second for a big body.
   */
  return async function load(load: Load): Promise<LoadResult> {
    return (await attempt(load)) ?? (await attempt({ ...load, seconds: load.seconds * patience })) ?? noAnswer(load);
  };

  async function attempt(load: Load): Promise<LoadResult | undefined> {
    const stdout = await runProgram('wrk', await argsOf(folder, load), { timeoutMs: (load.seconds + 20) * 1000 });
    return resultOf(stdout, load);
  }
}

export type Wrk = ReturnType<typeof createWrk>;

/** A load in the background of a measurement. */
export interface LoadBeside extends Disposable {
  /** Ends the load. `refused`: the number of answers with status 400 or more. */
  end(): Promise<{ readonly requests: number; readonly refused: number; readonly perSecond: number }>;
}

/** Starts a load whose requests may be refused. It runs for `seconds` unless it is ended before. */
export async function startLoad(folder: string, load: Load): Promise<LoadBeside> {
  const wrk = spawn('wrk', await argsOf(folder, load), { stdio: ['ignore', 'pipe', 'inherit'] });
  const output = text(wrk.stdout);
  const exited = once(wrk, 'exit');
  return {
    async end() {
      wrk.kill('SIGINT');
      await exited;
      const number = numbersOf(await output);
      const requests = number('requests');
      return { requests, refused: number('refused'), perSecond: (requests * 1e6) / number('micros') };
    },
    [Symbol.dispose]: () => void wrk.kill('SIGKILL'),
  };
}

async function argsOf(folder: string, load: Load): Promise<string[]> {
  const own = await mkdtemp(join(folder, 'load-'));
  const [planFile, cookieFile] = [join(own, 'plan.lua'), join(own, 'cookies.txt')];
  await writeFile(cookieFile, load.cookies.join('\n'));
  await writeFile(planFile, planOf(load, cookieFile));
  const { connections, seconds, origin } = load;
  return ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '-s', script, origin, '--', planFile];
}

function planOf({ paths, bodyBytes = 0, delayMs = 0 }: Load, cookieFile: string): string {
  const headers = Object.entries(browserHeaders).map(([name, value]) => `[${luaText(name)}]=${luaText(value)}`);
  return `return {
method = "${bodyBytes > 0 ? 'POST' : 'GET'}", bodyBytes = ${bodyBytes}, delayMs = ${Math.round(delayMs)},
headers = {${headers.join(',\n')}},
paths = {${paths.map(luaText).join(',\n')}},
cookieFile = ${luaText(cookieFile)},
}
`;
}

/** A Lua string. For visible ASCII JSON strings and Lua strings are the same. */
function luaText(text: string): string {
  return JSON.stringify(text);
}

function noAnswer({ origin, paths }: Load): never {
  throw new Error(`${origin}${paths[0] ?? ''} answered no request`);
}

/** Runs wrk; undefined if no request was answered in time. */
function resultOf(stdout: string, { origin, paths }: Load): LoadResult | undefined {
  const number = numbersOf(stdout);
  const requests = number('requests');
  if (number('failed') > 0) {
    throw new Error(`${number('failed')} of ${requests} requests for ${origin}${paths[0] ?? ''} failed:\n${stdout}`);
  }
  if (requests === 0) return undefined;
  return {
    requests,
    requestsPerSecond: (requests * 1e6) / number('micros'),
    p50Micros: number('p50'),
    p99Micros: number('p99'),
  };
}

/** Parses the summary that requests.lua prints. */
function numbersOf(stdout: string): (name: string) => number {
  const line = stdout.split('\n').findLast((each) => each.startsWith('{')) ?? '{}';
  const said: unknown = JSON.parse(line);
  return (name) => {
    const value: unknown = typeof said === 'object' && said !== null ? Reflect.get(said, name) : undefined;
    if (typeof value !== 'number') throw new TypeError(`wrk says no ${name}:\n${stdout}`);
    return value;
  };
}
