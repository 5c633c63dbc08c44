import { once } from 'node:events';
import { type IncomingMessage, request as sendRequest } from 'node:http';
import { userInfo } from 'node:os';
import { dirname, resolve } from 'node:path';
import { parseYamlFile } from '../config/yaml-file.ts';
import { readNamedFileSync } from '../core/named-files.ts';
import { PosternError } from '../core/error.ts';
import { isObject, parseJson } from '../core/objects.ts';
import type { Environment } from '../config/referenced-files.ts';
import type { CommandEnvironment } from './environment.ts';
import { type ExitCode, exitCodes } from './options.ts';
import { printable } from './output.ts';

/** A reply of the API. */
export interface ApiReply {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Sends a request to the running gateway. Rejects with a system error if the gateway cannot be reached. */
export type AskApi = (method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: object) => Promise<ApiReply>;

/** Opens the API of the gateway of a configuration: over TCP with the token in POSTERN_TOKEN, else its socket or token. */
export async function openApi(file: string, { env }: Pick<CommandEnvironment, 'env'>): Promise<AskApi> {
  const named = env['POSTERN_TOKEN'] || undefined;
  const way = (named === undefined ? socketWritten(file) : undefined) ?? (await wayByConfig(file, env, named));
  return async (method, path, body) => {
    const content = body === undefined ? '' : JSON.stringify(body);
    const request = sendRequest({
      ...way.options,
      method,
      path: `/api/v1${path}`,
      agent: false,
      headers: {
        ...way.headers,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(content),
        'postern-operator': operatorName(),
      },
    });
    request.end(content);
    const [response]: IncomingMessage[] = await once(request, 'response').catch((error: unknown) => {
      throw nobodyThere(error, way.place);
    });
    if (response === undefined) throw new TypeError('a response event carries a response');
    const parts = await response.toArray().catch((error: unknown) => {
      throw nobodyThere(error, way.place);
    });
    return { status: response.statusCode ?? 0, body: parseBody(Buffer.concat(parts).toString('utf8'), way.place) };
  };
}

/** The way to the API: options of the request, and its name in messages. */
interface Way {
  readonly options: { readonly socketPath: string } | { readonly host: string; readonly port: number };
  readonly headers: Readonly<Record<string, string>>;
  readonly place: string;
}

/**
 * The way over the socket, read from the file alone: loading the whole configuration takes longer than the command, and a
 * command must work while another part of it is wrong. Undefined if the file does not name a socket plainly.
 */
function socketWritten(file: string): Way | undefined {
  try {
    const { root } = parseYamlFile(readNamedFileSync(file).toString('utf8'));
    const operators = isObject(root) ? root['operators'] : undefined;
    const socket = isObject(operators) ? operators['socket'] : undefined;
    return typeof socket === 'string' && socket.trim() !== '' ? wayOver(resolve(dirname(file), socket)) : undefined;
  } catch {
    // Loading the configuration says what is wrong with it.
    return undefined;
  }
}

function wayOver(socketPath: string): Way {
  return { options: { socketPath }, headers: {}, place: socketPath };
}

/** The socket, unless the environment names a token: whoever sets one wants to be that client, or has no socket. */
async function wayByConfig(file: string, env: Environment, named: string | undefined): Promise<Way> {
  const { loadConfig } = await import('../config/load.ts');
  const { socket, token, listen } = (await loadConfig(file, { env })).operators;
  const overTcp = (bearer: string) => ({
    options: { host: listen.host, port: listen.port },
    headers: { authorization: `Bearer ${bearer}` },
    place: `${listen.host}:${listen.port}`,
  });
  if (named !== undefined) return overTcp(named);
  if (socket !== undefined) return wayOver(socket);
  if (token !== undefined) return overTcp(token.reveal());
  const message = `${file} says no way to reach the gateway: add operators: { socket: state/postern.sock }, or set POSTERN_TOKEN to a token`;
  throw new PosternError('ERR_CONFIG_INVALID', message, { source: 'config', retryable: false });
}

/** Explains a system error with what to do. */
function nobodyThere(error: unknown, place: string): unknown {
  if (!(error instanceof Error) || !('code' in error)) return error;
  const isForbidden = error.code === 'EACCES';
  const what = isForbidden
    ? 'run this command as the user that runs the gateway, or as a member of the socket’s group (operators.socket_access, socket_group)'
    : 'is the gateway running with this configuration?';
  const message = `cannot reach the gateway at ${place} (${String(error.code)}): ${what}`;
  return Object.assign(new Error(message, { cause: error }), { syscall: 'connect' });
}

/** Returns the operator's login name on this system. */
export function operatorName(): string {
  try {
    return userInfo().username.replace(/[^\w.@-]/g, '_');
  } catch {
    // The user has no entry in the passwd database, as in a container.
    return `uid-${process.getuid?.() ?? 'unknown'}`;
  }
}

function parseBody(text: string, place: string): Readonly<Record<string, unknown>> {
  const value = parseJson(text);
  if (isObject(value)) return value;
  const message = `what answers at ${place} is no gateway: is another program there?`;
  throw Object.assign(new Error(message), { syscall: 'connect' });
}

/** Writes the query of a request, from texts and numbers by their names. */
export function queryText(wanted: object): string {
  return new URLSearchParams(Object.entries(wanted)).toString();
}

/** Returns the objects of a list in a reply. */
export function rowsIn(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/** Formats a value of a reply for a table or a sentence, in one line that steers no terminal. */
export function cell(value: unknown): string {
  if (value === undefined || value === null) return '-';
  return printable(typeof value === 'string' ? value : JSON.stringify(value));
}

/** Prints the error of a reply and returns the exit code; undefined if the reply is a success. */
export function refusalCode({ status, body }: ApiReply, complain: (text: string) => void): ExitCode | undefined {
  if (status < 400) return undefined;
  const said = body['error'];
  if (status === 404 && typeof said === 'string' && said.startsWith('there is no such resource')) {
    complain('the gateway does not know this request: it is of another version than this command\n');
    return exitCodes.unavailable;
  }
  complain(`${cell(body['error'] ?? body['explanation'])}\n`);
  if (status === 404 || status === 409 || status === 502) return exitCodes.no;
  return status < 500 ? exitCodes.invalid : exitCodes.unavailable;
}

/** Names the mail proxies of an answer that could not be asked, each in a sentence; empty if all could. */
export function unreachedText(unreached: unknown): string {
  const lines = rowsIn(unreached).map(
    ({ proxy, why }) => `Mail connections at ${cell(proxy)} may be open: it could not be asked: ${cell(why)}.\n`,
  );
  return lines.join('');
}

/** Says how many mail connections an answer ended; empty if no mail proxy is configured. */
export function mailEndText(mail: unknown): string {
  return isObject(mail) ? `Mail connections ended: ${cell(mail['ended'])}.\n` : '';
}

/** Complains about mail connections of an answer that may still be open, and returns the exit code. */
export function mailEndCode(mail: unknown, complain: (text: string) => void): ExitCode {
  if (!isObject(mail)) return exitCodes.ok;
  const left = Number(mail['left'] ?? 0);
  const missing = unreachedText(mail['unreached']);
  complain(missing);
  if (left > 0) {
    complain(`Mail connections still open a second later: ${left}. Look at them with postern who, or at the server.\n`);
  }
  return missing === '' && left === 0 ? exitCodes.ok : exitCodes.unavailable;
}
