import type { StoreConfig } from '../config/sessions-section.ts';
import type { Clock } from '../core/clock.ts';
import { bracketed } from '../schema/value-parsers.ts';
import type { CommandEnvironment } from './environment.ts';

/** Characters of a cell in a table. A typed name may be very long; JSON shows all of it. */
const longestCell = 60;

/**
 * Rows under their headings, in columns; the last column is whole and not padded, a long cell of the others is cut. Signs
 * that would steer a terminal are replaced.
 */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [headings, ...rows].map((row) =>
    row
      .map(printable)
      .map((cell, column) =>
        column < row.length - 1 && cell.length > longestCell ? `${cell.slice(0, longestCell - 1)}…` : cell,
      ),
  );
  const widths = headings.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const lines = all.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}

/** Replaces characters that move the cursor, colour the screen or change the text direction. */
export function printable(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '\ufffd');
}

/** One JSON value on lines of its own, for `--format json`. No character of it steers a terminal. */
export function json(value: unknown): string {
  const text = JSON.stringify(value, null, 2);
  // JSON escapes the control characters below space only.
  return `${text.replace(/[\u007f-\u009f]/g, (sign) => `\\u00${sign.charCodeAt(0).toString(16)}`)}\n`;
}

const progressMs = 200;

/** Shows a count of users on the terminal, a few times a second; does nothing without a terminal. */
export function createProgress({ progress }: Pick<CommandEnvironment, 'progress'>, clock: Clock) {
  const startedMs = clock.nowMs();
  let shownMs = startedMs;
  return {
    count(users: number): void {
      const nowMs = clock.nowMs();
      if (progress === undefined || nowMs - shownMs < progressMs) return;
      shownMs = nowMs;
      const perSecond = Math.round((users * 1000) / (nowMs - startedMs));
      progress(`${users.toLocaleString('en')} users, ${perSecond.toLocaleString('en')} a second`);
    },
    /** Removes the progress line. */
    end(): void {
      if (shownMs !== startedMs) progress?.('');
    },
  };
}

/** Formats the address of a Redis. */
export function redisAddress(store: StoreConfig & { readonly kind: 'redis' }): string {
  if ('url' in store) return store.url;
  if ('cluster' in store) return `cluster ${redisServerList(store.cluster)}`;
  return `${store.name} of sentinels ${redisServerList(store.sentinels)}`;
}

function redisServerList(servers: readonly { readonly host: string; readonly port: number }[]): string {
  return servers.map(({ host, port }) => `${bracketed(host)}:${port}`).join(', ');
}
