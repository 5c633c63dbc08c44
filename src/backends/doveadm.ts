import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP } from 'node:net';
import { explainFailure } from '../core/connection-failure.ts';
import { PosternError } from '../core/error.ts';
import { createNetworkMatch } from '../core/ip-networks.ts';
import { isObject, parseJson } from '../core/objects.ts';
import type { Secret } from '../core/secrets.ts';
import { shortLine } from '../core/text.ts';
import { mailFailure, type MailRow, type MailServer, type MailTarget } from './mail-server.ts';

/** Where the doveadm HTTP API of a Dovecot is, and what it asks for. */
interface DoveadmAddress {
  readonly url: string;
  readonly apiKey: Secret;
  /** Certificates of authorities (PEM); those of the system unless given. */
  readonly ca?: string;
}

type DoveadmRecord = Readonly<Record<string, unknown>>;

/** A connection, with the process that has it; undefined where a proxy of Dovecot 2.3 passes it on. */
interface DoveadmRow extends MailRow {
  readonly pid: string | undefined;
}

const requestTag = 'postern';
/** About 60,000 connections: the list of a proxy of Dovecot 2.3 has those of all users. */
const maxAnswerBytes = 8 * 1024 * 1024;
/** EX_NOHOST: `kick` found nobody. */
const nobodyMatches = 68;
/** Waits before each look whether what was kicked has gone, in milliseconds. */
const looksAfterMs = [0, 50, 100, 200, 300, 400];

/**
 * Makes the client of one Dovecot, 2.3 or 2.4, a proxy or a mail server. In 2.3, `who` and `kick` know only connections
 * that end there, and `proxyList` and `proxyKick` those that are passed on; in 2.4, `who` and `kick` know both.
 */
export function createDoveadm(address: DoveadmAddress): MailServer {
  return {
    list: (whose, signal) => listAll(address, whose, signal),
    async end(whose, signal) {
      const before = await listAll(address, whose, signal);
      // Also if nothing is listed: somebody may just be coming in.
      await run(address, 'kick', { mask: [maskOf(whose)] }, signal);
      const users = new Set(before.filter(({ pid }) => pid === undefined).map(({ login }) => login));
      if (users.size > 0) await run(address, 'proxyKick', { user: [...users] }, signal);
      const left = await stillThere(address, whose, before, signal);
      return { ended: before.length - left, left };
    },
    async check(signal) {
      const text = await exchange(address, undefined, signal);
      const commands = parseJson(text);
      const names = Array.isArray(commands) ? commands.map((one: unknown) => isObject(one) && one['command']) : [];
      const missing = ['who', 'kick'].filter((name) => !names.includes(name));
      if (missing.length > 0)
        throw mailFailure(`it has no command ${missing.join(' and ')}: is this the API of doveadm?`);
      await listAll(address, { kind: 'user', name: 'postern-check@invalid' }, signal);
      return 'lists and ends connections';
    },
  };
}

async function listAll(
  address: DoveadmAddress,
  whose: MailTarget,
  signal: AbortSignal,
): Promise<readonly DoveadmRow[]> {
  const mask = maskOf(whose);
  const isMeant = matcherOfTarget(whose);
  const [own, passedOn] = await Promise.all([ownRows(address, mask, signal), passedOnRows(address, mask, signal)]);
  return [...own, ...passedOn].filter(isMeant);
}

async function ownRows(address: DoveadmAddress, mask: string, signal: AbortSignal): Promise<readonly DoveadmRow[]> {
  const rows = await run(address, 'who', { separateConnections: true, mask: [mask] }, signal);
  if (rows === 'unsupported') throw mailFailure('doveadm does not understand who: Dovecot 2.3 and 2.4 do');
  return rows.map((row) => ({ ...mailRowOf(row, 'ip'), pid: shownText(row['pid']) }));
}

/** The connections that a proxy of Dovecot 2.3 passes on. Dovecot 2.4 takes a mask here, and has named them already. */
async function passedOnRows(
  address: DoveadmAddress,
  mask: string,
  signal: AbortSignal,
): Promise<readonly DoveadmRow[]> {
  const masked = await run(address, 'proxyList', { separateConnections: true, mask: [mask] }, signal);
  if (masked !== 'unsupported') return [];
  const rows = await run(address, 'proxyList', {}, signal);
  if (rows === 'unsupported') return [];
  // Each login process begins its part with a row of headings.
  const real = rows.filter((row) => row['src-ip'] !== 'src-ip');
  return real.map((row) => ({ ...mailRowOf(row, 'src-ip'), pid: undefined }));
}

function mailRowOf(row: DoveadmRecord, address: string): MailRow {
  return { login: shownText(row['username']), service: shownText(row['service']), address: shownText(row[address]) };
}

function shownText(value: unknown): string {
  return typeof value === 'string' ? shortLine(value, 300) : '';
}

/** How many of these connections remain, a second after they were kicked. Those in their place do not count. */
async function stillThere(
  address: DoveadmAddress,
  whose: MailTarget,
  before: readonly DoveadmRow[],
  signal: AbortSignal,
): Promise<number> {
  const processes = new Set(before.flatMap(({ pid }) => (pid === undefined ? [] : [pid])));
  if (processes.size === 0) return 0;
  let left = before.length;
  for (const waitMs of looksAfterMs) {
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    // Without the time for another look, the last one counts.
    const now = await ownRows(address, maskOf(whose), signal).catch((error: unknown) => {
      if (signal.aborted) return undefined;
      throw error;
    });
    if (now === undefined) break;
    left = now.filter(({ pid }) => pid !== undefined && processes.has(pid)).length;
    if (left === 0) return 0;
  }
  return Math.min(left, before.length);
}

/** What doveadm calls a mask. Throws if it would take the name of a user for more than that user. */
function maskOf({ kind, name }: MailTarget): string {
  if (kind === 'network') return name;
  const isPattern = /[*?]/.test(name);
  const isAddress = isIP(name.split('/')[0] ?? '') !== 0 || /^[\d.]*\.[\d.]*$/.test(name);
  if (isPattern || (kind === 'user' && isAddress)) {
    const what = isPattern ? 'a pattern' : 'an address';
    throw mailFailure(`doveadm would take the name ${name} for ${what}, and end connections of others`, {
      ofName: true,
    });
  }
  return kind === 'domain' ? `*@${name}` : name;
}

function matcherOfTarget({ kind, name }: MailTarget): (row: MailRow) => boolean {
  if (kind === 'network') {
    const isInside = createNetworkMatch([name]);
    return ({ address }) => isIP(address) !== 0 && isInside(address);
  }
  const wanted = name.toLowerCase();
  return kind === 'domain'
    ? ({ login }) => login.toLowerCase().endsWith(`@${wanted}`)
    : ({ login }) => login.toLowerCase() === wanted;
}

/** Runs one command. One in a request: after an error in a list of them, the answer of 2.3 is no JSON. */
async function run(
  address: DoveadmAddress,
  command: string,
  parameters: object,
  signal: AbortSignal,
): Promise<readonly DoveadmRecord[] | 'unsupported'> {
  const text = await exchange(address, JSON.stringify([[command, parameters, requestTag]]), signal);
  const answer = parseJson(text);
  const first: unknown = Array.isArray(answer) ? answer[0] : undefined;
  const [kind, content]: readonly unknown[] = Array.isArray(first) ? first : [];
  if (kind === 'doveadmResponse' && Array.isArray(content)) return content.filter(isObject);
  if (kind !== 'error' || !isObject(content)) throw mailFailure(`its answer to ${command} is not one of doveadm`);
  const { type, exitCode } = content;
  if (type === 'invalidRequest' || type === 'unknownMethod') return 'unsupported';
  if (type === 'exitCode' && exitCode === nobodyMatches) return [];
  throw mailFailure(
    `doveadm ${command} failed there with ${shortLine(`${String(type)} ${String(exitCode)}`, 60)}: see its log`,
  );
}

/** Sends a body, or asks for the list of commands without one. */
function exchange({ url, apiKey, ca }: DoveadmAddress, body: string | undefined, signal: AbortSignal): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const key = Buffer.from(apiKey.reveal()).toString('base64');
  const headers = { authorization: `X-Dovecot-API ${key}`, 'content-type': 'application/json' };
  const options = { method: body === undefined ? 'GET' : 'POST', headers, agent: false, signal, ca };
  const give = (error: unknown): void =>
    reject(error instanceof PosternError ? error : mailFailure(explainFailure(error)));
  const request = (url.startsWith('https:') ? requestHttps : requestHttp)(url, options, (response) => {
    const { statusCode = 0 } = response;
    const chunks: Buffer[] = [];
    let bytes = 0;
    if (statusCode !== 200) {
      give(mailFailure(remedyFor(statusCode)));
      response.destroy();
      return;
    }
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes <= maxAnswerBytes) return;
      give(mailFailure(`its answer is larger than ${maxAnswerBytes / 1024 / 1024} MiB`));
      response.destroy();
    });
    response.on('error', give);
    response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
  });
  request.on('error', give).end(body);
  return promise;
}

function remedyFor(status: number): string {
  if (status === 401 || status === 403) {
    return `it answers ${status}: compare api_key with doveadm_api_key there`;
  }
  if (status === 404) return 'it answers 404: is this the address of inet_listener http of service doveadm?';
  return `it answers ${status}: see its log`;
}
