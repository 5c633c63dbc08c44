import { fstatSync } from 'node:fs';
import { hostname } from 'node:os';
import { isatty } from 'node:tty';
import { styleText } from 'node:util';
import type { LogLevel } from '../core/log-event-row.ts';
import type { Log } from '../core/log.ts';
import { isObject, parseJson } from '../core/objects.ts';
import { createSyslogSender, type SyslogServer } from '../core/syslog.ts';
import { createLog, type LogDestination, type LogOptions, openDescriptor } from './log.ts';

/** Settings of openLog. */
interface LogSettings extends Pick<LogOptions, 'level'> {
  /** `auto`: text on a terminal, JSON elsewhere. */
  readonly format: 'auto' | 'json' | 'text';
  /** A server that gets a copy of each line. */
  readonly syslog?: SyslogServer;
}

/** The place of standard output, for tests. */
interface StandardOutput {
  readonly fd: number;
  /** The value of JOURNAL_STREAM: device and inode of the journal's stream, if systemd connected one. */
  readonly journal: string | undefined;
  readonly retryMs?: number;
}

/** The severities of RFC 5424, which the journal has too. */
const severities: Readonly<Record<string, number>> = { error: 3, warn: 4, info: 6, debug: 7 };
/** System daemons (RFC 5424, 6.2.1). */
const daemonFacility = 3;

/**
 * Opens the log of a gateway: JSON on standard output, text if that is a terminal, with priorities if it is the journal;
 * and a copy for a syslog server. Disposing sends what waits for the server.
 */
export async function openLog(
  settings: LogSettings,
  output: StandardOutput = { fd: 1, journal: process.env['JOURNAL_STREAM'] },
): Promise<{ readonly log: Log } & AsyncDisposable> {
  const { level, syslog } = settings;
  const local = localDestination(settings, output);
  if (syslog === undefined) return { log: createLog({ level, destination: local }), async [Symbol.asyncDispose]() {} };
  // Only standard output hears of trouble: a line about a full queue must not need a place in it.
  const log = createLog({ level, destination: local });
  const sender = createSyslogSender({
    ...syslog,
    ...(output.retryMs === undefined ? {} : { retryMs: output.retryMs }),
    node: hostname(),
    facility: daemonFacility,
    trouble: {
      waits: (server, err) => log.warn('log-copy-waits', { syslog: server, err }),
      dropping: (server, waiting) => log.warn('log-copy-stopped', { syslog: server, waiting }),
      resumed: (server, dropped) => log.info('log-copy-resumed', { syslog: server, dropped }),
      lost: (server, lost) => log.warn('log-copy-incomplete', { syslog: server, lost }),
    },
  });
  const destination: LogDestination = {
    write(line) {
      local.write(line);
      const event = eventForm.exec(line)?.[1] ?? '-';
      sender.send({ text: line.trimEnd(), event, timeMs: Date.now(), severity: severityOf(line) });
    },
  };
  return { log: createLog({ level, destination }), [Symbol.asyncDispose]: () => sender[Symbol.asyncDispose]() };
}

const eventForm = /"event":"([a-z-]{1,32})"/;
const levelForm = /^\{"level":"([a-z]+)"/;

function severityOf(line: string): number {
  return severities[levelForm.exec(line)?.[1] ?? ''] ?? 6;
}

function localDestination({ format }: LogSettings, { fd, journal }: StandardOutput): LogDestination {
  const output = openDescriptor(fd);
  if (format === 'text' || (format === 'auto' && isatty(fd))) {
    return { write: (line) => output.write(asText(line)) };
  }
  if (journal === undefined || !isStream(fd, journal)) return output;
  return { write: (line) => output.write(`<${severityOf(line)}>${line}`) };
}

/** Whether the descriptor is this stream. A program that inherits JOURNAL_STREAM may write to a file or a pipe. */
function isStream(fd: number, journal: string): boolean {
  const { dev, ino } = fstatSync(fd);
  return journal === `${dev}:${ino}`;
}

const levelStyles = { error: 'red', warn: 'yellow', info: 'green', debug: 'gray' } as const;

/** A line of JSON as text for people: time, level, message, and the fields. Stacks of errors follow on lines of their own. */
function asText(line: string): string {
  const parsed = parseJson(line);
  if (!isObject(parsed)) return line;
  const { time, level, msg, event, err, ...fields } = parsed;
  const clock = String(time).slice(11, 23);
  const named = Object.entries({ event, ...fields }).filter(([name]) => name !== 'app');
  const shown = named.map(([name, value]) => `${name}=${shortValue(value)}`);
  const head = `${clock} ${styled(level)} ${String(msg)}  ${shown.join(' ')}`;
  return `${[head, ...errorLines(err)].join('\n')}\n`;
}

function isLevel(level: unknown): level is LogLevel {
  return typeof level === 'string' && level in levelStyles;
}

function styled(level: unknown): string {
  const word = String(level).toUpperCase().padEnd(5);
  return isLevel(level) ? styleText(levelStyles[level], word, { stream: process.stdout }) : word;
}

/** Quotes whatever is not one plain word: a client's text must not look like another field, or move the cursor. */
function shortValue(value: unknown): string {
  return typeof value === 'string' && /^[\p{L}\p{N}@._:/+-]+$/u.test(value) ? value : asOneLine(JSON.stringify(value));
}

function errorLines(err: unknown): string[] {
  if (!isObject(err)) return [];
  const { stack = '', ...rest } = err;
  return [
    `    ${asOneLine(JSON.stringify(rest))}`,
    ...(stack === '' ? [] : asOneLine(String(stack), true).split('\n')),
  ];
}

/** Control and format characters as escapes, line breaks only where `keepsLines` says so. */
function asOneLine(text: string, keepsLines = false): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) =>
    keepsLines && character === '\n' ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
