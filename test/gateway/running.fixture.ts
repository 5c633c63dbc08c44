import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DemoBackends, startBackends } from '../../demo/backends.ts';
import { writeConfiguration } from '../../demo/configuration.ts';
import { logEvents } from '../../src/core/log-events.ts';
import type { EventName, Log } from '../../src/core/log.ts';
import { type Gateway, startGateway } from '../../src/gateway.ts';
import { Browser, fieldsIn, type Landed } from '../demo/browser.fixture.ts';
import { freePort } from '../ports.fixture.ts';

interface Logged {
  readonly level: keyof Log;
  readonly event: string;
  readonly fields: Record<string, unknown>;
}

/** A gateway with the demo's backends behind it, as an operator and a user meet it. */
export interface RunningGateway extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly backends: DemoBackends;
  readonly configFile: string;
  readonly port: number;
  readonly origin: string;
  readonly logged: readonly Logged[];
  /** Replaces a text in the configuration file; fails when it is not there. */
  rewrite(search: string | RegExp, replacement: string): Promise<void>;
  /** Closes the gateway and starts it again on the same files. */
  restart(): Promise<void>;
  signIn(user: string, password: string): Promise<{ readonly browser: Browser; readonly landed: Landed }>;
}

/**
 * Starts it. `shutdown` and the like are changed with `prepare` before the start. `hasStaff`: as in the demo, with the
 * console, a member of staff, a master user and the operators' socket. `files`: secrets beside the configuration.
 */
export async function startRunning(
  prepare: (yaml: string) => string = (yaml) => yaml,
  {
    hasStaff = false,
    files = {},
  }: { readonly hasStaff?: boolean; readonly files?: Readonly<Record<string, string>> } = {},
): Promise<RunningGateway> {
  await using opened = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'postern-test-'));
  opened.defer(() => rm(directory, { recursive: true, force: true }));
  const backends = opened.use(await startBackends(Date.now()));
  const port = await freePort();
  const configFile = await writeConfiguration(backends, { directory, port, hasStaff });
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text, { mode: 0o600 });
  await writeFile(configFile, prepare(await readFile(configFile, 'utf8')));
  const logged: Logged[] = [];
  const log = logInto(logged);
  let gateway = await startGateway({ configFile, log });
  opened.defer(() => gateway.close());
  const origin = `http://127.0.0.1:${port}`;
  const owned = opened.move();
  return {
    get gateway() {
      return gateway;
    },
    backends,
    configFile,
    port,
    origin,
    logged,
    async rewrite(search, replacement) {
      const before = await readFile(configFile, 'utf8');
      const after = before.replace(search, replacement);
      if (after === before) throw new Error(`${String(search)} is not in the configuration`);
      await writeFile(configFile, after);
    },
    async restart() {
      await gateway.close();
      gateway = await startGateway({ configFile, log });
    },
    async signIn(user, password) {
      const browser = new Browser(origin);
      const form = fieldsIn(await browser.text('/-/login'));
      form.set('user', user);
      form.set('password', password);
      return { browser, landed: await browser.submit('/-/login', form) };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Keeps lines, and refuses fields that docs/log.md does not know of their event. */
function logInto(logged: Logged[]): Log {
  const at =
    (level: keyof Log) =>
    (event: EventName, fields: object = {}) => {
      const known = new Set<string>(['leftOut', ...logEvents[event].fields]);
      const unknown = Object.keys(fields).filter((field) => !known.has(field));
      assert.deepEqual(unknown, [], `fields of ${event}`);
      logged.push({ level, event, fields: { ...fields } });
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
