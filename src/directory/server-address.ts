import type { NetConnectOpts } from 'node:net';
import type { Settings } from './settings.ts';

/** Where a server listens, and how logs call it. */
export interface ServerAddress {
  readonly label: string;
  readonly connect: NetConnectOpts & { readonly host?: string; readonly port?: number; readonly path?: string };
}

/** Reads `host:port`, `[address]:port` or `unix:/path`. */
export function readAddress(settings: Settings, key: string, defaultPort?: number): ServerAddress {
  const text = settings.text(key);
  const address = parseAddress(text, defaultPort);
  if (address === undefined && text !== '') settings.problem(key, addressRemedy);
  return address ?? { label: text, connect: { port: 0 } };
}

/** Reads one or more addresses, asked in this order. */
export function readAddresses(settings: Settings, key: string, defaultPort?: number): readonly ServerAddress[] {
  const texts = settings.list(key);
  if (texts.length === 0) settings.problem(key, 'write the address of a server, or a list of them');
  return texts.flatMap((text) => {
    const address = parseAddress(text, defaultPort);
    if (address === undefined) settings.problem(key, `${JSON.stringify(text)}: ${addressRemedy}`);
    return address === undefined ? [] : [address];
  });
}

const addressRemedy = 'write host:port, "[address]:port" or unix:/path';

function parseAddress(text: string, defaultPort?: number): ServerAddress | undefined {
  if (text.startsWith('unix:/')) return { label: text, connect: { path: text.slice(5) } };
  const [, bracketed, plain, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z._-]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = digits === undefined ? defaultPort : Number(digits);
  if (host === undefined || port === undefined || port === 0 || port > 65_535) return undefined;
  return { label: text, connect: { host, port } };
}
