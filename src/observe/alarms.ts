import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';

/** The log, with each error counted by its code as well: it is something that an operator should look at. */
export function withAlarms(log: Log, alarm: (code: string) => void): Log {
  return {
    debug: (fields, message) => log.debug(fields, message),
    info: (fields, message) => log.info(fields, message),
    warn: (fields, message) => log.warn(fields, message),
    error(fields, message) {
      alarm(codeIn(fields));
      log.error(fields, message);
    },
  };
}

/** `defect` where no code stands: such an error was not foreseen. */
function codeIn(fields: object): string {
  if ('code' in fields && typeof fields.code === 'string') return fields.code;
  return 'err' in fields && fields.err instanceof PosternError ? fields.err.code : 'defect';
}
