import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import request, { type Response } from 'supertest';
import { postern } from '../cli/cli.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { setCookies } from '../http/browser-like.fixture.ts';
import { type StaffBrowser, staffBrowser } from '../http/console.fixture.ts';
import { type OwnGateway, startGateway } from '../integrations/own-gateway.fixture.ts';
import { codeOf } from '../support/support.fixture.ts';
import type { Lab } from './lab.ts';

const forwarded = { 'X-Forwarded-Proto': 'http' };
export const reason = 'cannot find the letter from Monday';

export interface DeskOptions {
  /** Further lines of the configuration's `support`. */
  readonly support?: readonly string[];
  /** The Redis for sessions and states; undefined for a file. */
  readonly redis?: string;
  /** A service that the directory asks for the role of staff, instead of what the configuration says of sam. */
  readonly roles?: string;
  /** A webmail of the test's own, for mia. */
  readonly webmail?: string;
  /** The keys of its backend, if it is not entered by trusted fields. */
  readonly driver?: string;
}

/** The fields of the form on a user's page. */
type Asked = Readonly<Record<string, string>>;

/**
 * A gateway over the lab with sam at its console, who opens alice's and mia's mailboxes, as browsers and attackers meet
 * it.
 */
export interface SupportDesk extends AsyncDisposable {
  readonly gateway: OwnGateway;
  readonly sam: StaffBrowser;
  readonly run: (...args: readonly string[]) => ReturnType<typeof postern>;
  hostOf(name: 'support' | 'assist' | 'public'): string;
  /** Signs in a member of staff by the password; the second factor comes next. */
  withPassword(name: string): Promise<StaffBrowser>;
  /** A newly enrolled member of staff at the console, with unused recovery codes. */
  enrolled(name: string): Promise<{ readonly browser: StaffBrowser; readonly codes: string[] }>;
  /** Signs sam in anew: recovery codes run out in a test as long as these. */
  refresh(): Promise<void>;
  /** An unused recovery code of sam's. */
  code(): string;
  ask(more?: Asked): Promise<Response>;
  /** The target of the link that the console shows. */
  linkFor(user?: string, more?: Asked): Promise<string>;
  /** A navigation of a browser. */
  getAt(host: string, target: string, cookie?: string): request.Test;
  /** The cookie of an opened mailbox. */
  opened(user?: string): Promise<string>;
  isOpen(cookie: string): Promise<boolean>;
  /** Asserts that an opened mailbox ends soon after `how`. */
  assertEnds(cookie: string, how: () => Promise<unknown>): Promise<void>;
  /** Presses the button of the banner, or tries to; `change` is made to what the browser sends. */
  stop(
    cookie: string,
    change?: { readonly token?: (token: string) => string; readonly headers?: Asked },
  ): Promise<Response>;
  /** Changes the configuration and reloads it. */
  rewrite(search: string, replacement: string): Promise<void>;
}

export async function startDesk(lab: Lab, options: DeskOptions = {}): Promise<SupportDesk> {
  const imap = `imap: "imaps://127.0.0.11:${lab.port(993)}"`;
  const trusting = `driver: header, master: { user: gateway, password: { file: imap.secret } },
      header: { user_field: X-Sso-User, secret_field: X-Sso-Secret, secret: { file: header.secret } }`;
  const gateway = await startGateway({
    caFile: lab.caFile,
    ...(options.redis === undefined ? {} : { sessions: `redis: { url: "${options.redis}" }` }),
    users: {
      'alice@example.test': 'a',
      'mia@example.test': options.webmail === undefined ? 'a' : 'w',
      'head@other.test': 'a',
      'sam@example.test': 'b',
      'bert@example.test': 'b',
    },
    ...(options.roles === undefined ? {} : { sources: [`{ type: http, url: "${options.roles}/%u" }`] }),
    files: { 'header.secret': 'lab-shared-secret', 'imap.secret': 'gateway-pw', 'support.secret': 'support-pw' },
    settings: (port) => `support:
  console: http://support.localhost:${port}
  assist: http://assist.localhost:${port}
  roles_from_directory: ${options.roles !== undefined}
  staff:
    bert@example.test: auditor
${options.roles === undefined ? '    sam@example.test: { roles: [support], domains: [example.test] }' : ''}
${(options.support ?? ['notice: never']).map((line) => `  ${line}`).join('\n')}`,
    backends: {
      a: `{ ${imap}, webmail: "http://127.0.0.11:${lab.port(82)}/?_task=mail", ${trusting} }`,
      b: `{ imap: "imaps://127.0.0.12:${lab.port(993)}", webmail: "http://127.0.0.12:${lab.port(80)}/", driver: roundcube }`,
      ...(options.webmail === undefined
        ? {}
        : { w: `{ ${imap}, webmail: "${options.webmail}/", ${options.driver ?? trusting} }` }),
    },
  });
  const server = `http://127.0.0.1:${gateway.port}`;
  let sam = staffBrowser({ server, origin: `http://support.localhost:${gateway.port}`, forwarded });
  let codes: string[] = [];
  const desk: SupportDesk = {
    gateway,
    get sam() {
      return sam;
    },
    run: (...args) => postern([...args, '-c', gateway.configFile]),
    hostOf: (name) => `${name === 'public' ? '127.0.0.1' : `${name}.localhost`}:${gateway.port}`,

    async withPassword(name) {
      const browser = staffBrowser({ server, origin: `http://${desk.hostOf('support')}`, forwarded });
      await browser.get('/-/login');
      const reply = await browser.post('/-/login', { user: name, password: `${name}-pw` });
      assert.equal(reply.status, 303, reply.text);
      return browser;
    },

    async enrolled(name) {
      const { out } = await desk.run('staff', 'enrol', name);
      const browser = await desk.withPassword(name);
      await browser.get('/-/enrol');
      await browser.post('/-/enrol', { invitation: /: (\S{19})\n/.exec(out)?.[1] ?? '' });
      const offer = await browser.get('/-/enrol');
      const key = /<code>([A-Z2-7 ]+)<\/code>/.exec(offer.text)?.[1]?.replaceAll(' ', '') ?? '';
      const done = await browser.post('/-/enrol', { code: codeOf(key, gateway.nowMs()) });
      const shown = [...done.text.matchAll(/<li><code>(.+?)<\/code>/g)].map(([, code]) => code ?? '');
      assert.equal(shown.length, 10, done.text);
      return { browser, codes: shown };
    },

    async refresh() {
      await desk.run('staff', 'reset', 'sam', '--reason', 'a test');
      ({ browser: sam, codes } = await desk.enrolled('sam'));
    },

    code: () => codes.pop() ?? '',

    async ask(more = {}) {
      const user = more['user'] ?? 'alice@example.test';
      await sam.get(`/-/users?user=${user}`);
      return sam.post('/-/users', { do: 'open', user, reason, ticket: '', minutes: '5', code: desk.code(), ...more });
    },

    async linkFor(user = 'alice@example.test', more = {}) {
      const reply = await desk.ask({ user, ...more });
      const link = /href="(http:\/\/assist[^"]+)"/.exec(reply.text)?.[1];
      assert.ok(link !== undefined, reply.text);
      return new URL(link).pathname + new URL(link).search;
    },

    getAt: (host, target, cookie = '') =>
      request(server)
        .get(target)
        .set({ Host: host, ...forwarded, Cookie: cookie, 'User-Agent': 'Mozilla' })
        .set({ 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document' }),

    async opened(user) {
      const reply = await desk.getAt(desk.hostOf('assist'), await desk.linkFor(user));
      assert.equal(reply.status, 303, reply.text);
      const cookie = setCookies(reply).map((line) => /^postern=[^;]+/.exec(line)?.[0]);
      return cookie.find((value) => value !== undefined) ?? assert.fail('no cookie came with the mailbox');
    },

    isOpen: async (cookie) => (await desk.getAt(desk.hostOf('assist'), '/?_task=mail', cookie)).status === 200,

    async assertEnds(cookie, how) {
      assert.ok(await desk.isOpen(cookie));
      await how();
      const sinceMs = performance.now();
      await eventually(async () => !(await desk.isOpen(cookie)));
      const tookMs = performance.now() - sinceMs;
      assert.ok(tookMs < 2_500, `it took ${Math.round(tookMs)} ms`);
    },

    async stop(cookie, { token = (genuine: string) => genuine, headers = { 'Sec-Fetch-Site': 'same-origin' } } = {}) {
      const page = await desk.getAt(desk.hostOf('assist'), '/?_task=mail', cookie);
      const facts: { readonly token: string } = JSON.parse(
        /data-banner="([^"]+)"/.exec(page.text)?.[1]?.replaceAll('&#34;', '"') ?? '{}',
      );
      return request(server)
        .post('/-/assist/stop')
        .set({ Host: desk.hostOf('assist'), ...forwarded, Cookie: cookie, ...headers })
        .type('form')
        .send({ token: token(facts.token) });
    },

    async rewrite(search, replacement) {
      const before = await readFile(gateway.configFile, 'utf8');
      assert.ok(before.includes(search));
      await writeFile(gateway.configFile, before.replace(search, replacement));
      const reloads = () => gateway.log.filter((line) => line.includes('"event":"config-reloaded"')).length;
      const known = reloads();
      gateway.reload();
      await eventually(() => reloads() > known);
    },

    [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose](),
  };
  try {
    ({ browser: sam, codes } = await desk.enrolled('sam'));
  } catch (error) {
    await gateway[Symbol.asyncDispose]();
    throw error;
  }
  return desk;
}
