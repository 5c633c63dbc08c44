import type { AuditEvent } from '../core/audit.ts';
import { momentNamed } from '../core/clock.ts';
import { createNetworkMatch } from '../core/ip-networks.ts';
import { defined } from '../core/objects.ts';

/** A request of the API, read and authenticated. */
export interface ApiRequest {
  /** The parameters of the route's path. */
  readonly path: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly body: Readonly<Record<string, unknown>>;
  /** The client as the audit names it: the name that it gives, and the way it came. */
  readonly by: string;
  /** How it came: over TCP with a token, or over the socket, whose file's mode has authorised it. */
  readonly way: 'tcp' | 'socket';
  /** The client's address; undefined if it came over the socket, or was gone before it could be read. */
  readonly address?: string;
}

/** An answer: HTTP status and JSON body. */
export interface ApiAnswer {
  readonly status: number;
  readonly body: object;
}

/** One operation. `name` is its operationId in docs/openapi.yaml. */
export interface ApiRoute {
  readonly name: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Path below /api/v1, such as `/backends/{backend}/state`. */
  readonly path: string;
  /** Whether it only reads, although its method is not GET. */
  readonly onlyReads?: true;
  /** Whether a token of the role `lock` may use it. */
  readonly ofLocks?: true;
  readonly handle: (request: ApiRequest) => Promise<ApiAnswer>;
}

/** Refuses a request: an HTTP status, and what to do instead. */
export class ApiRefusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'ApiRefusal';
    this.status = status;
  }
}

/** Refuses a name that does not exist, with those that do: `what` is such as `there is no backend`. */
export function noSuch(what: string, name: string | undefined, known: Iterable<string>): ApiRefusal {
  const all = [...known];
  const shown = `${all.slice(0, 20).join(', ')}${all.length > 20 ? ', …' : ''}`;
  return new ApiRefusal(404, `${what} ${name ?? ''}: there ${all.length === 1 ? 'is' : 'are'} ${shown}`);
}

/** Returns the parameter of a query if it is one of these words; undefined if it is missing. Throws ApiRefusal else. */
export function wordIn<Word extends string>(
  query: URLSearchParams,
  name: string,
  words: readonly Word[],
): Word | undefined {
  const value = query.get(name);
  if (value === null) return undefined;
  const word = words.find((one) => one === value);
  if (word === undefined) throw new ApiRefusal(400, `${name} is not one of ${words.join(', ')}`);
  return word;
}

/** Reads `limit` of a query. Throws ApiRefusal if it is not a number from 1 to `most`. */
export function limitIn(query: URLSearchParams, most: number, otherwise = most): number {
  const limit = Number(query.get('limit') ?? otherwise);
  if (Number.isInteger(limit) && limit >= 1 && limit <= most) return limit;
  throw new ApiRefusal(400, `limit is not a number from 1 to ${most}`);
}

/** Reads `network` of a query, as a test of addresses; undefined if it is missing. Throws ApiRefusal else. */
export function networkIn(query: URLSearchParams): ((address: string) => boolean) | undefined {
  const network = query.get('network');
  if (network === null) return undefined;
  try {
    return createNetworkMatch([network]);
  } catch {
    throw new ApiRefusal(400, `network is neither an address nor a network: write one such as 192.0.2.0/24`);
  }
}

/** Makes a 200 answer with this body. */
export function ok(body: object): ApiAnswer {
  return { status: 200, body };
}

/** Reads the text of a field. Throws ApiRefusal if it is missing, empty or too long. */
export function textIn(body: ApiRequest['body'], name: string): string {
  const value = body[name];
  if (typeof value === 'string' && value.trim() !== '' && value.length <= 1000) return value;
  throw new ApiRefusal(400, `${name} is missing: every change needs it`);
}

/** Reads the reason of a change, as one line. Throws ApiRefusal if there is none. */
export function reasonIn({ body }: ApiRequest): string {
  return textIn(body, 'reason')
    .replace(/\p{C}+/gu, ' ')
    .trim();
}

/** Returns the client's name and address, as the audit records them. */
export function askerOf({ by, address }: ApiRequest): Pick<AuditEvent, 'actor' | 'address'> {
  return { actor: by, ...defined({ address }) };
}

/**
 * Reads an ISO 8601 time as epoch milliseconds; undefined if the field is missing. Throws ApiRefusal for other texts.
 */
export function timeIn(body: ApiRequest['body'], name: string): number | undefined {
  const value = body[name];
  if (value === undefined) return undefined;
  const ms = typeof value === 'string' ? momentNamed(value) : Number.NaN;
  if (Number.isNaN(ms))
    throw new ApiRefusal(
      400,
      `${name} ${shownTime(value)} is not a time: write one such as 2030-01-31 or 2030-01-31T06:00:00Z`,
    );
  return ms;
}

/**
 * Reads the time at which something is to end, as epoch milliseconds; undefined if the field is missing. Throws
 * ApiRefusal for other texts, and for a time that is over.
 */
export function endTimeIn(body: ApiRequest['body'], name: string, nowMs: number): number | undefined {
  const ms = timeIn(body, name);
  if (ms !== undefined && ms <= nowMs)
    throw new ApiRefusal(400, `${name} ${shownTime(body[name])} lies in the past: name a time to come`);
  return ms;
}

/**
 * Reads texts by language tag; none if the field is missing. Throws ApiRefusal if the value has another form, or if the
 * pages do not speak one of the languages: nobody would ever read that text.
 */
export function textsIn(
  body: ApiRequest['body'],
  name: string,
  languages: readonly string[],
): Readonly<Record<string, string>> {
  const value = body[name] ?? {};
  const wrong = new ApiRefusal(400, `${name} is not a map of texts by language: write { "en": "…", "de": "…" }`);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong;
  const texts: Record<string, string> = {};
  for (const [tag, text] of Object.entries(value)) {
    if (!/^[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*$/.test(tag) || typeof text !== 'string' || text.length > 500) throw wrong;
    if (!languages.includes(tag)) {
      throw new ApiRefusal(400, `${name}: the pages have no language ${tag}: write one of ${languages.join(', ')}`);
    }
    texts[tag] = text;
  }
  return texts;
}

/** Reads a boolean; false if the field is missing. Throws ApiRefusal for other values. */
export function flagIn(body: ApiRequest['body'], name: string): boolean {
  const value = body[name] ?? false;
  if (typeof value === 'boolean') return value;
  throw new ApiRefusal(400, `${name} is neither true nor false`);
}

/** A value that was given as a time, quoted, at most 40 characters of it. */
function shownTime(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : `(a ${typeof value})`;
}
