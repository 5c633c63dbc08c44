import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { defined } from '../core/objects.ts';
import { arrayOf, duration, integer, leaf, oneOf, section, size, yesOrNo } from '../schema/scalars.ts';
import { parseSyslogUrl, read, shownValue, syslogRemedy, wrong } from '../schema/value-parsers.ts';
import { certificates, ownFile, type ReferencedFiles } from './referenced-files.ts';

const shareRemedy = 'is not known here: write off, all, or a share between 0 and 1 such as 0.01';
const otlpRemedy = 'write the URL for traces with its path, such as http://127.0.0.1:4318/v1/traces';
const headerFieldName = /^[A-Za-z0-9-]{1,128}$/;

/** Schema of `workers`. */
export const workersSection = z
  .union([oneOf(['auto'], 'a number of processes'), integer({ atLeast: 1, atMost: 128 })], {
    error: 'is not a number of processes: write 1, another number, or auto for one per processor',
  })
  .prefault(1)
  .transform((workers) => (workers === 'auto' ? availableParallelism() : workers))
  .describe(
    'How many processes serve on this machine; `auto` is one per processor. More than one needs `sessions.redis`. With ' +
      'several, the first process only leads the others: reload, operators’ listener, metrics.',
  );

/** Schema of `requests`. */
export const requestsSection = section({
  header_size: size({ atLeast: 4096, atMost: 65_536 })
    .prefault('16 KiB')
    .describe('The size limit of a request’s head; a larger one gets a 431.'),
  header_fields: integer({ atLeast: 20, atMost: 1000 })
    .prefault(100)
    .describe('How many header fields a request may have; with more it gets a 431.'),
  header_deadline: duration({ atLeastMs: 1000 })
    .prefault('10s')
    .describe('Time limit for a request’s head to arrive; after that the answer is 408.'),
  stall_timeout: duration({ atLeastMs: 1000 })
    .prefault('120s')
    .describe(
      'A client that reads nothing of its answer, or sends nothing of its body, for this long is disconnected.',
    ),
  upload_rate: size({ atLeast: 0, atMost: 1024 * 1024 })
    .prefault('1 KiB')
    .describe(
      'The minimum rate per second at which a client must send a body, averaged over `stall_timeout`. Time in which the ' +
        'webmail does not read does not count. `0 B` switches it off.',
    ),
  drop_headers: arrayOf(headerName(), 'field names')
    .prefault([])
    .describe('Additional request header fields that never reach a backend, besides all that a client could forge.'),
})
  .transform((requests) => ({
    headerBytes: requests.header_size,
    headerFields: requests.header_fields,
    headerDeadlineMs: requests.header_deadline,
    stallMs: requests.stall_timeout,
    uploadBytesPerSecond: requests.upload_rate,
    dropHeaders: requests.drop_headers,
  }))
  .prefault({})
  .describe('Limits on the size and speed of requests.');

/** Schema of `log`. */
export function logSection(referenced: ReferencedFiles) {
  return section({
    level: oneOf(['debug', 'info', 'warn', 'error', 'silent'])
      .prefault('info')
      .describe('The lowest level that is logged.'),
    requests: z
      .union([oneOf(['off', 'all']), z.number().gt(0, shareRemedy).lt(1, shareRemedy)], {
        error: shareRemedy,
      })
      .prefault('off')
      .describe(
        'Which proxied requests are logged: `off`, `all`, or a share such as 0.01. Query strings are never logged.',
      ),
    format: oneOf(['auto', 'json', 'text'])
      .prefault('auto')
      .describe(
        'The form of the lines on standard output: `json`; `text`, for people; or `auto`, text on a terminal and JSON elsewhere.',
      ),
    syslog: syslogSection(referenced)
      .optional()
      .describe(
        'A syslog server that gets a copy of each line, in JSON (RFC 5424, facility daemon): `tls://HOST` or `tcp://HOST`, ' +
          'or a map with `url`. Nothing waits for it; up to 1000 lines wait for the server, further ones are dropped and counted.',
      ),
    otlp: leaf({
      what: 'a URL',
      remedy: otlpRemedy,
      examples: ['http://127.0.0.1:4318/v1/traces'],
      parse: (given) =>
        /^https?:\/\/[!-~]+$/.test(given) && URL.canParse(given)
          ? read(given)
          : wrong(`${shownValue(given)} is not the URL of a collector: ${otlpRemedy}`),
    })
      .optional()
      .describe(
        'A collector that gets the phases of each sign-in as spans (OpenTelemetry, OTLP over HTTP with JSON). They name no user and no ' +
          'address. Without it, none of the libraries for that is loaded.',
      ),
  })
    .transform(({ level, requests, format, syslog, otlp }) => ({
      level,
      requests: requests === 'off' ? 0 : requests === 'all' ? 1 : requests,
      format,
      ...defined({ syslog, otlp }),
    }))
    .prefault({})
    .describe('The log, on standard output: see [log.md](log.md).');
}

/** Schema of `statistics`. */
export const statisticsSection = section({
  enabled: yesOrNo().prefault(true).describe('Whether sign-ins are counted.'),
  last_logins: yesOrNo()
    .prefault(true)
    .describe('Whether the time of each user’s last sign-in is kept, for `postern stats last`.'),
  retention: days({ atLeast: 1, atMost: 1_100 })
    .prefault('400d')
    .describe('How long counts and last sign-ins are kept, in days.'),
  flush_interval: duration({ atLeastMs: 100, atMostMs: 3_600_000 })
    .prefault('10s')
    .describe('How often each process stores what it has counted; a process that is killed loses this much.'),
})
  .transform((statistics) => ({
    enabled: statistics.enabled,
    lastLogins: statistics.last_logins,
    keptMs: statistics.retention,
    flushMs: statistics.flush_interval,
  }))
  .prefault({})
  .describe('Counts of sign-ins, and when each user last signed in: see [statistics.md](statistics.md).');

/** A number of days, as milliseconds. */
function days({ atLeast, atMost }: { readonly atLeast: number; readonly atMost: number }) {
  const remedy = `write ${atLeast}d to ${atMost}d, such as 400d`;
  return leaf({
    what: 'a number of days',
    remedy,
    examples: ['400d'],
    parse(text) {
      const count = Number(/^(\d{1,5}) ?d$/.exec(text.trim())?.[1]);
      if (count >= atLeast && count <= atMost) return read(count * 24 * 60 * 60 * 1000);
      return wrong(`${JSON.stringify(text)} is not a number of days in this range: ${remedy}`);
    },
  });
}

/** Schema of `shutdown`. */
export const shutdownSection = section({
  delay: duration({ atLeastMs: 0 })
    .prefault('5s')
    .describe('How long /-/ready answers 503 before new connections are refused, so that load balancers notice.'),
  deadline: duration({ atLeastMs: 1000 })
    .prefault('60s')
    .describe('How long open requests and uploads may take to finish.'),
})
  .transform(({ delay, deadline }) => ({ delayMs: delay, deadlineMs: deadline }))
  .prefault({})
  .describe('What SIGTERM does.');

function headerName() {
  const remedy = 'write the name of a header field, such as X-Department';
  return leaf({
    what: 'a field name',
    remedy,
    examples: ['X-Department'],
    parse: (name) =>
      headerFieldName.test(name)
        ? read(name.toLowerCase())
        : wrong(`${JSON.stringify(name)} is not a field name: ${remedy}`),
  });
}

/** Schema of `audit`. */
export function auditSection(referenced: ReferencedFiles) {
  return section({
    file: ownFile(referenced)
      .prefault('state/audit.jsonl')
      .describe('Created with mode 0600. Each machine has its own file; the processes of one machine share it.'),
    syslog: syslogSection(referenced)
      .optional()
      .describe(
        'A syslog server that gets a copy of each line (RFC 5424): `tls://HOST` or `tcp://HOST`, or a map with `url`. ' +
          'Nothing waits for it.',
      ),
  })
    .transform(({ file, syslog }) => ({ file, ...defined({ syslog }) }))
    .prefault({})
    .describe('The record of what staff and operators do: see [audit.md](audit.md).');
}

function syslogSection(referenced: ReferencedFiles) {
  const remedy = `${syslogRemedy}; or { url: tls://HOST:6514, tls_ca_file: ca.crt }`;
  const url = leaf({
    what: 'a syslog URL',
    remedy: syslogRemedy,
    examples: ['tls://siem.internal:6514'],
    parse: parseSyslogUrl,
  });
  const map = section({
    url: url.describe('`tls://` (port 6514 unless given) or `tcp://` (601), and the host.'),
    tls_ca_file: certificates(referenced).optional().describe('CA certificates (PEM) instead of those of the system.'),
  });
  return z
    .union([url.transform((given) => ({ url: given, tls_ca_file: undefined })), map], {
      error: `is neither a URL nor a map with one: ${remedy}`,
    })
    .transform(({ url: { host, port, isTls }, tls_ca_file: ca }) => ({
      host,
      port,
      ...defined({ tls: isTls ? defined({ ca }) : undefined }),
    }));
}
