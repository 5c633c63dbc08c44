import type { Log } from '../core/log.ts';
import { createSyslogSender, type SyslogSenderOptions } from '../core/syslog.ts';

/** Options of createSyslogCopy. */
export interface SyslogCopyOptions extends Omit<SyslogSenderOptions, 'facility' | 'trouble'> {
  readonly log: Log;
}

interface CopiedLine {
  readonly text: string;
  readonly event: string;
  readonly timeMs: number;
}

/** Sends a copy of the audit to another machine. Nobody waits for it. */
interface SyslogCopy extends AsyncDisposable {
  send(line: CopiedLine): void;
}

/** Log audit (RFC 5424, 6.2.1). */
const facility = 13;
/** Notice. */
const severity = 5;
const code = 'ERR_AUDIT_COPY';

/** Copies lines of the audit to a syslog server; what is lost is an alarm. See createSyslogSender. */
export function createSyslogCopy({ log, ...options }: SyslogCopyOptions): SyslogCopy {
  const sender = createSyslogSender({
    ...options,
    facility,
    trouble: {
      waits: (syslog, err) => log.warn('audit-copy-waits', { syslog, err }),
      dropping: (syslog, waiting) => log.error('audit-copy-stopped', { code, syslog, waiting }),
      resumed: (syslog, dropped) => log.info('audit-copy-resumed', { syslog, dropped }),
      lost: (syslog, lost) => log.error('audit-copy-incomplete', { code, syslog, lost }),
    },
  });
  return {
    send: (line) => sender.send({ ...line, severity }),
    [Symbol.asyncDispose]: () => sender[Symbol.asyncDispose](),
  };
}
