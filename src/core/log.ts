/** Structured log: facts in fields, a constant message. pino's loggers satisfy it. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** A log that keeps nothing, for parts that are used outside a gateway. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
