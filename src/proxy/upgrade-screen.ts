import type { IncomingMessage } from 'node:http';
import type { PublicUrl } from '../core/http.ts';
import type { IncomingHead } from './request-head.ts';

/** Why an upgrade is refused: an HTTP status and a sentence for whoever debugs the client. */
export interface UpgradeRefusal {
  readonly status: 400 | 403 | 426;
  readonly why: string;
}

const keyForm = /^[A-Za-z0-9+/]{22}==$/;

/**
 * Whether a request may leave HTTP at all: only for WebSocket. Anything else that asks for an upgrade (h2c) is served
 * as the ordinary request that it also is (RFC 9110, 7.8).
 */
export function mayUpgrade(request: IncomingMessage): boolean {
  return request.headers.upgrade?.toLowerCase().includes('websocket') === true;
}

/**
 * RFC 6455, 4.2.1, and the Origin must be exactly ours: a browser sends our cookie with every WebSocket, whoever's page
 * opens it. A body would be read as frames.
 */
export function screenUpgrade(head: IncomingHead, publicUrl: PublicUrl): UpgradeRefusal | undefined {
  if (head.method !== 'GET' || head.httpVersion !== '1.1')
    return { status: 400, why: 'An upgrade is a GET by HTTP/1.1.' };
  const upgrades = head.all('upgrade');
  if (upgrades.length !== 1 || upgrades[0]?.toLowerCase() !== 'websocket') {
    return { status: 400, why: 'Only an upgrade to "websocket", and nothing else, is known.' };
  }
  if (head.header('content-length') !== undefined || head.header('transfer-encoding') !== undefined) {
    return { status: 400, why: 'An upgrade has no body.' };
  }
  if (head.all('sec-websocket-key').length !== 1 || !keyForm.test(head.header('sec-websocket-key') ?? '')) {
    return { status: 400, why: 'Sec-WebSocket-Key is missing or malformed.' };
  }
  if (head.all('sec-websocket-version').join() !== '13') return { status: 426, why: 'Only version 13 is spoken here.' };
  if (head.all('origin').join() !== publicUrl.origin) return { status: 403, why: 'The Origin is not this server.' };
  return undefined;
}
