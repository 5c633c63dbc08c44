import type { AuditEvent } from '../core/audit.ts';

/** A request of the API, read and authenticated. */
export interface ApiRequest {
  /** The parts of the path that the route names. */
  readonly path: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly body: Readonly<Record<string, unknown>>;
  /** The client for the audit: the name that it gives, and the way it came. */
  readonly by: string;
  /** The client's address, where it came over a network. */
  readonly address?: string;
}

/** An HTTP status and the JSON body that goes with it. */
export interface ApiAnswer {
  readonly status: number;
  readonly body: object;
}

/** One operation. `name` is its operationId in docs/openapi.yaml. */
export interface ApiRoute {
  readonly name: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Such as `/backends/{backend}/state`, below /api/v1. */
  readonly path: string;
  readonly handle: (request: ApiRequest) => Promise<ApiAnswer>;
}

/** A request that cannot be done as it is: its status, and what to do instead. */
export class ApiRefusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'ApiRefusal';
    this.status = status;
  }
}

/** Answers 200 with this body. */
export function ok(body: object): ApiAnswer {
  return { status: 200, body };
}

/** The text of a field; a refusal when it is missing, empty or too long. */
export function textIn(body: ApiRequest['body'], name: string): string {
  const value = body[name];
  if (typeof value === 'string' && value.trim() !== '' && value.length <= 1000) return value;
  throw new ApiRefusal(400, `${name} is missing: every change needs one`);
}

/** The reason of a change, on one line. */
export function reasonIn({ body }: ApiRequest): string {
  return textIn(body, 'reason')
    .replace(/\p{C}+/gu, ' ')
    .trim();
}

/** The client's name and address, as the audit writes them. */
export function askerOf({ by, address }: ApiRequest): Pick<AuditEvent, 'actor' | 'address'> {
  return { actor: by, ...(address === undefined ? {} : { address }) };
}

/** Reads an ISO 8601 time as epoch milliseconds; undefined if the field is missing. */
export function timeIn(body: ApiRequest['body'], name: string): number | undefined {
  const value = body[name];
  if (value === undefined) return undefined;
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(ms)) throw new ApiRefusal(400, `${name} is no time: write one such as 2030-01-31T06:00:00Z`);
  return ms;
}

/** Texts by language tag. */
export function textsIn(body: ApiRequest['body'], name: string): Readonly<Record<string, string>> {
  const value = body[name] ?? {};
  const wrong = new ApiRefusal(400, `${name} is no map of texts by language: write { "en": "…", "de": "…" }`);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong;
  const texts: Record<string, string> = {};
  for (const [tag, text] of Object.entries(value)) {
    if (!/^[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*$/.test(tag) || typeof text !== 'string' || text.length > 500) throw wrong;
    texts[tag] = text;
  }
  return texts;
}

/** A yes or no; no where nothing is said. */
export function flagIn(body: ApiRequest['body'], name: string): boolean {
  const value = body[name] ?? false;
  if (typeof value === 'boolean') return value;
  throw new ApiRefusal(400, `${name} is neither true nor false`);
}
