import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { createAudit, type OwnAudit } from '../../src/audit/audit.ts';
import { type AuditKey, parseLine, type WrittenLine } from '../../src/audit/line.ts';
import { silentLog } from '../../src/core/log.ts';

export const start = Date.parse('2026-03-01T08:00:00Z');
export const key: AuditKey = { id: '5a6b7c8d', secret: randomBytes(32) };

const folder = mkdtempSync(join(tmpdir(), 'postern-audit-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

/** A name in a folder that is not there yet. */
export function newFile(): string {
  return join(folder, `${(files += 1)}`, 'audit.jsonl');
}

interface TestAudit extends OwnAudit {
  readonly file: string;
  /** The codes of what it logged as an error, and its warnings. */
  readonly alarms: readonly string[];
  passMs(ms: number): void;
}

/** The audit of one process, at a time of the test's own. */
export function auditIn(file: string, given: Partial<Parameters<typeof createAudit>[0]> = {}): TestAudit {
  let nowMs = start;
  const alarms: string[] = [];
  const log = {
    ...silentLog,
    warn: (event: string) => void alarms.push(event),
    error: (_event: string, fields: object = {}) => void alarms.push('code' in fields ? String(fields.code) : 'none'),
  };
  const clock = { nowMs: () => nowMs };
  const audit = createAudit({ file, node: 'node-1', key: () => key, clock, randomBytes, log, ...given });
  return Object.assign(audit, {
    file,
    alarms,
    passMs(ms: number) {
      nowMs += ms;
    },
  });
}

/** The lines of a file; fails where one is none. */
export function linesOf(file: string): readonly WrittenLine[] {
  const texts = readFileSync(file, 'utf8').trimEnd().split('\n');
  return texts.map((text) => {
    const line = parseLine(text);
    if (line === undefined) throw new Error(`no line: ${text}`);
    return line;
  });
}
