import type { IncomingMessage } from 'node:http';
import type { PublicUrl } from '../core/http.ts';
import type { HeaderFields, IncomingHead } from './request-head.ts';

/** An early refusal of a request: the status, and a sentence that helps to debug the client. */
export interface RequestRefusal {
  readonly status: 400 | 405 | 431 | 505;
  readonly why: string;
  /** The change that an operator can make, for the log. */
  readonly remedy?: string;
  readonly fields?: HeaderFields;
}

const browserMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']);

/** The methods of DAV (RFC 4918, 3253, 3744, 4791, 5323), for Basic clients. */
const davMethods = 'ACL COPY LOCK MKCALENDAR MKCOL MOVE PROPFIND PROPPATCH REPORT SEARCH UNLOCK';
const basicMethods = new Set([...browserMethods, ...davMethods.split(' ')]);

/** Origin form, visible ASCII, no fragment. Servers read anything else in different ways. */
const originForm = /^\/[\x21\x22\x24-\x7e]*$/;
/** Load balancers send names of their own pools, even with underscores. The ingress decides which host is ours. */
const hostForm = /^(?:[A-Za-z0-9_][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/;
const lengthForm = /^\d{1,15}$/;
/** Fields that Connection must not name: without them the message has another framing or route (RFC 9110, 7.6.1). */
const endToEnd = new Set(['content-length', 'host', 'transfer-encoding']);

/**
 * Refuses what Node's parser accepts and no webmail needs, so that all servers read a request in one way: odd methods,
 * versions and targets, repeated Host or framing fields, bodies on GET and HEAD, too many fields. Undefined if the
 * request is fine. `mayBeClient`: whether the target is one of Basic clients, which also use the methods of DAV.
 */
export function validateRequest(
  head: IncomingHead,
  maxFields: number,
  mayBeClient = false,
): RequestRefusal | undefined {
  if (head.httpVersion !== '1.1' && head.httpVersion !== '1.0') {
    return { status: 505, why: 'Only HTTP/1.1 and HTTP/1.0 are supported.' };
  }
  const allowed = mayBeClient ? basicMethods : browserMethods;
  if (!allowed.has(head.method)) {
    const remedy = 'DAV is served under the paths that a backend lists as dav.';
    return { status: 405, why: 'This method is not allowed.', remedy, fields: [['Allow', [...allowed].join(', ')]] };
  }
  const { targetAuthority } = head;
  const isPath = originForm.test(head.target) && (targetAuthority === undefined || hostForm.test(targetAuthority));
  if (!isPath) return { status: 400, why: 'The request target is not a path of this server.' };
  if (head.raw.length > 2 * maxFields) {
    const remedy = 'Raise requests.header_fields, or have the load balancer add fewer.';
    return { status: 431, why: `More than ${maxFields} header fields.`, remedy };
  }
  return validateFields(head);
}

function validateFields(head: IncomingHead): RequestRefusal | undefined {
  let hosts = 0;
  let lengths = 0;
  let codings = 0;
  let length = '0';
  for (let i = 0; i < head.names.length; i += 1) {
    const value = head.raw[2 * i + 1] ?? '';
    switch (head.names[i]) {
      case 'host':
        hosts += 1;
        // Empty if the client has no name for the server (RFC 9112, 3.2), as probes of load balancers have none.
        if (value !== '' && !hostForm.test(value)) {
          const remedy = 'Have the load balancer send the Host that the browser sent.';
          return { status: 400, why: 'The Host field is malformed.', remedy };
        }
        break;
      case 'content-length':
        lengths += 1;
        length = value;
        if (!lengthForm.test(value)) return { status: 400, why: 'The Content-Length field is malformed.' };
        break;
      case 'transfer-encoding':
        codings += 1;
        if (value.toLowerCase() !== 'chunked')
          return { status: 400, why: 'Only the transfer coding "chunked" is supported.' };
        break;
      case 'connection':
        if (namesEndToEnd(value)) return { status: 400, why: 'The Connection field names a field that must arrive.' };
        break;
      default:
    }
  }
  if (hosts > 1) return { status: 400, why: 'More than one Host field.' };
  if (lengths + codings > 1) return { status: 400, why: 'The body length is given more than once.' };
  if (codings > 0 && head.httpVersion === '1.0') return { status: 400, why: 'HTTP/1.0 has no transfer codings.' };
  const hasBody = codings > 0 || Number(length) > 0;
  if (hasBody && (head.method === 'GET' || head.method === 'HEAD')) {
    return { status: 400, why: 'GET and HEAD requests must have no body.' };
  }
  return undefined;
}

function namesEndToEnd(connection: string): boolean {
  if (connection === 'keep-alive' || connection === 'close') return false;
  return connection.split(',').some((option) => endToEnd.has(option.trim().toLowerCase()));
}

/** The refusal of an upgrade: the status, and a sentence that helps to debug the client. */
interface UpgradeRefusal {
  readonly status: 400 | 403 | 426;
  readonly why: string;
}

const webSocketKey = /^[A-Za-z0-9+/]{22}==$/;

/**
 * Whether a request may be upgraded: only to WebSocket. Any other upgrade (h2c) is ignored, and the request is served
 * as an ordinary one (RFC 9110, 7.8).
 */
export function mayUpgrade(request: IncomingMessage): boolean {
  return request.headers.upgrade?.toLowerCase().includes('websocket') === true;
}

/**
 * Refuses a handshake that does not follow RFC 6455, 4.2.1, or whose Origin is not exactly ours; undefined if it is
 * fine. A browser sends our cookie with every WebSocket, whichever page opens it. A body would be read as frames.
 */
export function validateUpgrade(head: IncomingHead, publicUrl: PublicUrl): UpgradeRefusal | undefined {
  if (head.method !== 'GET' || head.httpVersion !== '1.1')
    return { status: 400, why: 'An upgrade must be a GET by HTTP/1.1.' };
  const upgrades = head.all('upgrade');
  if (upgrades.length !== 1 || upgrades[0]?.toLowerCase() !== 'websocket') {
    return { status: 400, why: 'Only an upgrade to "websocket" alone is supported.' };
  }
  if (head.header('content-length') !== undefined || head.header('transfer-encoding') !== undefined) {
    return { status: 400, why: 'An upgrade must have no body.' };
  }
  if (head.all('sec-websocket-key').length !== 1 || !webSocketKey.test(head.header('sec-websocket-key') ?? '')) {
    return { status: 400, why: 'Sec-WebSocket-Key is missing or malformed.' };
  }
  if (head.all('sec-websocket-version').join() !== '13') return { status: 426, why: 'Only version 13 is supported.' };
  if (head.all('origin').join() !== publicUrl.origin)
    return { status: 403, why: 'The Origin is not that of this server.' };
  return undefined;
}
