import { type LevelWithSilent, pino, stdTimeFunctions } from 'pino';
import { PosternError } from '../core/error.ts';
import { logEvents } from '../core/log-events.ts';
import type { EventName, Log } from '../core/log.ts';

/**
 * Fields that could open a mailbox, censored at any depth. This is the last line of defence: secrets are wrapped
 * already.
 */
const secretFields = ['password', 'cookie', 'authorization', 'set-cookie', 'sealed', 'token', 'secret'];

/** Takes the lines of a log, each with its line break. It must not block. */
export interface LogDestination {
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
export function openDescriptor(fd: number): LogDestination {
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
