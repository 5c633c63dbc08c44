import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { AuditFilter, AuditLine } from '../core/audit.ts';
import { PosternError } from '../core/error.ts';
import { parseLine } from './line.ts';
import { linesBackwards, linesForwards } from './lines.ts';
import type { PlacedText } from './finding.ts';

/**
 * The file and what was rotated out of it (`audit.jsonl.1`, `audit.jsonl.2`, …), newest first. Rejects with
 * ERR_AUDIT_UNAVAILABLE when the folder cannot be read; a folder that is not there holds none.
 */
export async function auditFiles(file: string): Promise<readonly string[]> {
  const names = await readdir(dirname(file)).catch((error: unknown): string[] => {
    if (isMissing(error)) return [];
    throw unreadable(file, error);
  });
  const stem = `${basename(file)}.`;
  const numbered = names.flatMap((name) => {
    const number = name.startsWith(stem) ? name.slice(stem.length) : '';
    return /^[1-9]\d{0,5}$/.test(number) ? [Number(number)] : [];
  });
  numbered.sort((a, b) => a - b);
  const rotated = numbered.map((number) => join(dirname(file), `${stem}${number}`));
  return names.includes(basename(file)) ? [file, ...rotated] : rotated;
}

/**
 * The lines that fit of a file and what was rotated out of it, newest first. Texts that are no lines are passed over.
 * Rejects with ERR_AUDIT_UNAVAILABLE.
 */
export async function listLines(file: string, filter: AuditFilter, limit: number): Promise<readonly AuditLine[]> {
  const found: AuditLine[] = [];
  if (limit <= 0) return found;
  for (const name of await auditFiles(file)) {
    try {
      for await (const text of linesBackwards(name)) {
        const said = parseLine(text)?.said;
        if (said === undefined || !fits(said, filter)) continue;
        found.push(said);
        if (found.length >= limit) return found;
      }
    } catch (error) {
      // Rotated away in between: it is read under its new name.
      if (!isMissing(error)) throw unreadable(name, error);
    }
  }
  return found;
}

/** The texts of files, in their order. Rejects with ERR_AUDIT_UNAVAILABLE when one cannot be read. */
export async function* placedTexts(files: readonly string[]): AsyncGenerator<PlacedText> {
  for (const file of files) {
    let number = 0;
    try {
      for await (const text of linesForwards(file)) {
        number += 1;
        yield { file, number, text };
      }
    } catch (error) {
      throw unreadable(file, error);
    }
  }
}

/** Whether a line is one of those that are meant. */
export function fits(line: AuditLine, filter: AuditFilter): boolean {
  const {
    event,
    actor,
    subject,
    node,
    sinceMs = Number.NEGATIVE_INFINITY,
    untilMs = Number.POSITIVE_INFINITY,
  } = filter;
  return (
    (event === undefined || line.event === event) &&
    (actor === undefined || line.actor === actor) &&
    (subject === undefined || line.subject === subject) &&
    (node === undefined || line.node === node) &&
    line.timeMs >= sinceMs &&
    line.timeMs < untilMs
  );
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

function unreadable(file: string, cause: unknown): PosternError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const message = `the audit ${file} cannot be read: ${why}`;
  return new PosternError('ERR_AUDIT_UNAVAILABLE', message, { source: 'audit', retryable: true, cause });
}
