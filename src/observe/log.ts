import { fstatSync } from 'node:fs';
import { hostname } from 'node:os';
import { isatty } from 'node:tty';
import { styleText } from 'node:util';
import { type LevelWithSilent, pino, stdTimeFunctions } from 'pino';
import { PosternError } from '../core/error.ts';
import { logEvents } from '../core/log-events.ts';
import type { LogLevel } from '../core/log-event-row.ts';
import type { EventName, Log } from '../core/log.ts';
import { isObject, parseJson } from '../core/objects.ts';
import { createSyslogSender, type SyslogServer } from '../core/syslog.ts';

/**
 * Fields that could open a mailbox, censored at any depth. This is the last line of defence: secrets are wrapped
 * already.
 */
const secretFields = ['password', 'cookie', 'authorization', 'set-cookie', 'sealed', 'token', 'secret'];

/** Takes the lines of a log, each with its line break. It must not block. */
interface LogDestination {
  write(line: string): void;
}

/** Options of createLog. */
export interface LogOptions {
  readonly level: LevelWithSilent;
  /** Takes the lines. */
  readonly destination: LogDestination;
}

/**
 * Makes a log of JSON lines: one event a line with its stable name, a constant `msg`, facts in fields, ISO 8601 times.
 */
export function createLog(options: LogOptions): Log {
  const logger = pino(
    {
      level: options.level,
      base: { app: 'postern' },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: asLogged },
      // pino would print every property that a library added to an error.
      serializers: { err: (value: unknown) => value },
      redact: {
        paths: secretFields.flatMap((field) => [`["${field}"]`, `*["${field}"]`, `*.*["${field}"]`]),
        censor: '[secret]',
      },
    },
    options.destination,
  );
  return {
    debug: (event, fields) => logger.debug({ event, ...fields }, eventMessage(event)),
    info: (event, fields) => logger.info({ event, ...fields }, eventMessage(event)),
    warn: (event, fields) => logger.warn({ event, ...fields }, eventMessage(event)),
    error: (event, fields) => logger.error({ event, ...fields }, eventMessage(event)),
  };
}

/** Writes to a descriptor without blocking: what a full pipe does not take waits in memory. */
function openDescriptor(fd: number): LogDestination {
  return pino.destination({ fd, sync: false });
}

function eventMessage(event: EventName): string {
  return logEvents[event].message;
}

/** Reduces errors to the fields that may be logged, and cuts long texts. */
function asLogged(fields: Record<string, unknown>): Record<string, unknown> {
  let logged: Record<string, unknown> | undefined;
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof Error) (logged ??= { ...fields })[name] = loggedError(value);
    else if (typeof value === 'string' && value.length > maxText)
      (logged ??= { ...fields })[name] = boundedText(value, maxText);
  }
  return logged ?? fields;
}

/** URL of this program's own code in stack traces. */
const ownCode = new URL('..', import.meta.url).href;
const maxCauses = 5;
const maxMessage = 500;
const maxText = 2000;
const plainTypeName = /^[A-Za-z]{1,40}$/;
const plainCode = /^[A-Za-z0-9_.-]{1,64}$/;
const frameForm = /^ {4}at [^\n]{1,300}$/;

/** The fields of an error that reach the log; others may contain bytes of a backend, IMAP or a directory. */
interface LoggedError {
  readonly type: string;
  readonly code?: string | number;
  readonly message?: string;
  readonly syscall?: string;
  readonly address?: string;
  readonly port?: number;
  readonly stack?: string;
  readonly cause?: LoggedError;
}

function loggedError(error: Error, depth = 0): LoggedError {
  const frames = framesOf(error);
  const code = loggedCode(error);
  const { cause } = error;
  const name = error.constructor.name;
  return {
    type: plainTypeName.test(name) ? name : 'Error',
    ...(code === undefined ? {} : { code }),
    ...(hasOwnWords(error, code, frames) ? { message: boundedText(error.message) } : {}),
    ...systemFields(error),
    ...(frames.length === 0 ? {} : { stack: frames.join('\n') }),
    ...(cause instanceof Error && depth < maxCauses ? { cause: loggedError(cause, depth + 1) } : {}),
  };
}

/**
 * Whether the message of an error comes from this program, Node's system calls, undici or its parser. Messages of other
 * libraries quote their input: a database its row, `JSON.parse` its text, an IMAP client the server's answer.
 */
function hasOwnWords(error: Error, code: string | number | undefined, frames: readonly string[]): boolean {
  if (error instanceof PosternError || isSystemCallError(error, code)) return true;
  if (typeof code === 'string' && /^(?:UND_ERR|HPE)_/.test(code)) return true;
  return frames[0]?.includes(ownCode) === true;
}

function isSystemCallError(error: Error, code: string | number | undefined): boolean {
  const syscall: unknown = 'syscall' in error ? error.syscall : undefined;
  return typeof syscall === 'string' && typeof code === 'string' && /^E[A-Z0-9_]+$/.test(code);
}

function loggedCode(error: Error): string | number | undefined {
  const code: unknown = 'code' in error ? error.code : undefined;
  if (typeof code === 'number') return code;
  if (typeof code === 'string' && plainCode.test(code)) return code;
  // The first word of a Redis error is its code: MISCONF, NOPERM, LOADING.
  return /^(?:ErrorReply|SimpleError)$/.test(error.constructor.name)
    ? /^[A-Z]{3,20}(?= |$)/.exec(error.message)?.[0]
    : undefined;
}

function systemFields(error: Error): Pick<LoggedError, 'syscall' | 'address' | 'port'> {
  const syscall: unknown = 'syscall' in error ? error.syscall : undefined;
  const address: unknown = 'address' in error ? error.address : undefined;
  const port: unknown = 'port' in error ? error.port : undefined;
  return {
    ...(typeof syscall === 'string' && plainCode.test(syscall) ? { syscall } : {}),
    ...(typeof address === 'string' && address.length <= 108 ? { address } : {}),
    ...(typeof port === 'number' ? { port } : {}),
  };
}

/** The stack frames of an error, without the message that precedes them. */
function framesOf(error: Error): string[] {
  const stack = error.stack ?? '';
  const words = stack.indexOf(error.message);
  if (words === -1) return [];
  return stack
    .slice(words + error.message.length)
    .split('\n')
    .filter((line) => frameForm.test(line))
    .slice(0, 10);
}

function boundedText(text: string, most = maxMessage): string {
  return text.length <= most ? text : `${text.slice(0, most)}…`;
}

/** Wraps a log so that each error also raises an alarm by its code. */
export function withAlarms(log: Log, alarm: (code: string) => void): Log {
  return {
    debug: log.debug,
    info: log.info,
    warn: log.warn,
    error(event, fields) {
      alarm(codeIn(fields ?? {}));
      log.error(event, fields);
    },
  };
}

/** The code of an error line; `defect` if it has none, because such an error was not foreseen. */
function codeIn(fields: object): string {
  if ('code' in fields && typeof fields.code === 'string') return fields.code;
  return 'err' in fields && fields.err instanceof PosternError ? fields.err.code : 'defect';
}

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
