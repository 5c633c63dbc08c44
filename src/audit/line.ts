import { createHmac, timingSafeEqual } from 'node:crypto';
import type { AuditEvent, AuditFacts, AuditLine } from '../core/audit.ts';
import { parseJson } from '../core/json.ts';

/** A key that lines are signed with. The id stands in each line, and says which key verifies it. */
export interface AuditKey {
  readonly id: string;
  readonly secret: Buffer;
}

/** Where a line stands in its chain, and who writes it when. */
interface LinePlace extends Pick<AuditLine, 'chain' | 'sequence' | 'timeMs' | 'node'> {
  /** The MAC of the line before it in the chain; undefined for the first one. */
  readonly previous: string | undefined;
}

/** A line as it stands in a file. `mac` is over every byte before it, which hold the MAC of the line before. */
export interface WrittenLine {
  readonly said: AuditLine;
  readonly previous: string | undefined;
  readonly key: string;
  readonly mac: string;
  /** What the MAC is over. */
  readonly signed: string;
}

const maxValueLength = 1000;
const maxFacts = 32;
const lineForm = /^(\{.*),"mac":"([\w-]{43})"\}$/;
const unprintable = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** The text of a line, without its end, and its MAC. Nothing that a value holds can end a line or begin another one. */
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

/** A line of a file; undefined for a text that is none. Whether it is genuine is another question. */
export function parseLine(text: string): WrittenLine | undefined {
  const [, signed, mac] = lineForm.exec(text) ?? [];
  if (signed === undefined || mac === undefined) return undefined;
  const value = parseJson(`${signed}}`);
  if (!isMap(value)) return undefined;
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
    ...(isMap(facts) ? { facts: parseFacts(facts) } : {}),
  };
  return { said, previous: isText(previous) ? previous : undefined, key, mac, signed };
}

/** Whether a holder of the key wrote the line exactly as it is. */
export function isGenuine({ signed, mac }: WrittenLine, key: AuditKey): boolean {
  return timingSafeEqual(Buffer.from(mac), Buffer.from(lineMac(signed, key)));
}

function lineMac(signed: string, { secret }: AuditKey): string {
  return createHmac('sha256', secret).update(signed).digest('base64url');
}

function boundedValue(text: string): string {
  return text.length <= maxValueLength ? text : `${text.slice(0, maxValueLength - 1)}…`;
}

function boundedFacts(facts: AuditFacts): AuditFacts {
  const entries = Object.entries(facts).slice(0, maxFacts);
  return Object.fromEntries(
    entries.map(([name, value]) => [boundedValue(name), typeof value === 'string' ? boundedValue(value) : value]),
  );
}

/** JSON escapes line ends by itself; this escapes whatever else a terminal or an editor would not show as it is. */
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

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
