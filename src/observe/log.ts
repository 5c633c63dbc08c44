import { pino, stdTimeFunctions, type DestinationStream, type LevelWithSilent } from 'pino';
import type { Log } from '../core/log.ts';

/**
 * Fields that hold what opens a mailbox, wherever they stand: the last line of defence, secrets are wrapped already.
 */
const secretFields = ['password', 'cookie', 'authorization', 'set-cookie', 'sealed', 'token', 'secret'];

export interface LogOptions {
  readonly level: LevelWithSilent;
  /** Where the lines go; standard output when left out. A full pipe never blocks the gateway. */
  readonly destination?: DestinationStream;
}

/** JSON lines: one event per line, a constant `msg`, facts in fields, times in ISO 8601. */
export function createLog(options: LogOptions): Log {
  return pino(
    {
      level: options.level,
      base: { app: 'postern' },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: secretFields.flatMap((field) => [`["${field}"]`, `*["${field}"]`, `*.*["${field}"]`]),
        censor: '[secret]',
      },
    },
    options.destination ?? pino.destination({ fd: 1, sync: false }),
  );
}
