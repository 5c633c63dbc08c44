import { createHmac, timingSafeEqual } from 'node:crypto';
import type { AuditEvent, AuditFacts, AuditLine } from '../core/audit.ts';
import { isObject, parseJson } from '../core/objects.ts';

/** A key that signs lines. Each line carries the id of its key. */
export interface AuditKey {
  readonly id: string;
  readonly secret: Buffer;
}

/** Position of a line in its chain, with its writer and time. */
interface LinePlace extends Pick<AuditLine, 'chain' | 'sequence' | 'timeMs' | 'node'> {
  /** The MAC of the line before it in the chain; undefined for the first one. */
  readonly previous: string | undefined;
}

/** A line as it stands in a file. `mac` covers every byte before it, including the MAC of the previous line. */
export interface WrittenLine {
  readonly said: AuditLine;
  readonly previous: string | undefined;
  readonly key: string;
  readonly mac: string;
  /** The text that the MAC covers. */
  readonly signed: string;
}

const maxAuditValueLength = 1000;
const maxFacts = 32;
const lineForm = /^(\{.*),"mac":"([\w-]{43})"\}$/;
const unprintable = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** Formats a line, without its line end, and returns its MAC. No value can end the line or begin another one. */
export function writeLine(place: LinePlace, event: AuditEvent, key: AuditKey): { text: string; mac: string } {
  const { timeMs, chain, sequence, node, previous } = place;
  const { actor, subject, address, facts } = event;
  const value = {
    time: new Date(timeMs).toISOString(),
    event: event.event,
    actor: boundedValue(actor),
    ...(subject === undefined ? {} : { subject: boundedValue(subject) }),
    ...(address === undefined ? {} : { address: boundedValue(address) }),
    ...(facts === undefined ? {} : { facts: boundedFacts(facts) }),
    node: boundedValue(node),
    chain,
    sequence,
    ...(previous === undefined ? {} : { previous }),
    key: key.id,
  };
  const signed = escaped(JSON.stringify(value)).slice(0, -1);
  const mac = lineMac(signed, key);
  return { text: `${signed},"mac":"${mac}"}`, mac };
}

/** Parses a line of a file; undefined if the text is not one. Does not check the MAC. */
export function parseLine(text: string): WrittenLine | undefined {
  const [, signed, mac] = lineForm.exec(text) ?? [];
  if (signed === undefined || mac === undefined) return undefined;
  const value = parseJson(`${signed}}`);
  if (!isObject(value)) return undefined;
  const { chain, sequence, time, node, event, actor, subject, address, facts, key, previous } = value;
  const timeMs = typeof time === 'string' ? Date.parse(time) : Number.NaN;
  if (!isText(chain) || !isText(node) || !isText(event) || !isText(actor) || !isText(key)) return undefined;
  if (typeof sequence !== 'number' || !Number.isSafeInteger(sequence) || Number.isNaN(timeMs)) return undefined;
  const said: AuditLine = {
    chain,
    sequence,
    timeMs,
    node,
    event,
    actor,
    ...(isText(subject) ? { subject } : {}),
    ...(isText(address) ? { address } : {}),
    ...(isObject(facts) ? { facts: parseFacts(facts) } : {}),
  };
  return { said, previous: isText(previous) ? previous : undefined, key, mac, signed };
}

/** Whether the MAC of a line is right: a holder of the key wrote exactly this line. */
export function isGenuine({ signed, mac }: WrittenLine, key: AuditKey): boolean {
  return timingSafeEqual(Buffer.from(mac), Buffer.from(lineMac(signed, key)));
}

function lineMac(signed: string, { secret }: AuditKey): string {
  return createHmac('sha256', secret).update(signed).digest('base64url');
}

function boundedValue(text: string): string {
  return text.length <= maxAuditValueLength ? text : `${text.slice(0, maxAuditValueLength - 1)}…`;
}

function boundedFacts(facts: AuditFacts): AuditFacts {
  const entries = Object.entries(facts).slice(0, maxFacts);
  return Object.fromEntries(
    entries.map(([name, value]) => [boundedValue(name), typeof value === 'string' ? boundedValue(value) : value]),
  );
}

/** Escapes characters that a terminal or an editor would not show as they are. JSON escapes line ends itself. */
function escaped(json: string): string {
  return json.replace(unprintable, (found) =>
    [...Array(found.length).keys()]
      .map((index) => `\\u${found.charCodeAt(index).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

function parseFacts(facts: Readonly<Record<string, unknown>>): AuditFacts {
  const plain: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(facts)) {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') plain[name] = value;
  }
  return plain;
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}
