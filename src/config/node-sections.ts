import { createPrivateKey, X509Certificate } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { atLeastOne, count, duration, leaf, list, oneOf, section, size } from '../schema/scalars.ts';
import {
  formatDuration,
  type ListenAddress,
  parseHost,
  parseListen,
  parseNetwork,
  parsePublicUrl,
  parseSyslogUrl,
  publicUrlRemedy,
  read,
  type Reading,
  syslogRemedy,
  wrong,
} from '../schema/value-parsers.ts';
import {
  type AuditConfig,
  type LogConfig,
  logLevels,
  type OperatorsConfig,
  proxyProtocolModes,
  type RequestsConfig,
  type ShutdownConfig,
  type SyslogConfig,
  type TlsCertificateConfig,
} from './config.ts';
import { certificates, type Outside, ownFile, secret } from './referenced-files.ts';

const shareRemedy = 'is not known here: write off, all, or a share between 0 and 1 such as 0.01';
const fieldName = /^[A-Za-z0-9-]{1,128}$/;

interface ListenConfig {
  readonly address: ListenAddress;
  readonly keepAliveMs: number;
}

const defaultListen = '127.0.0.1:8080';
const defaultKeepAliveMs = 65_000;

/** Schema of `listen`. */
export const listenSection = z
  .union(
    [
      listenAddress(defaultListen).transform((address): ListenConfig => ({ address, keepAliveMs: defaultKeepAliveMs })),
      section({
        address: listenAddress(defaultListen).prefault(defaultListen).describe('The address and the port.'),
        keep_alive: duration({ atLeastMs: 1000 })
          .prefault(formatDuration(defaultKeepAliveMs))
          .describe(
            'How long an idle connection is kept. Write more than the load balancer keeps one: docs/load-balancers.md has a ' +
              'table. Otherwise what it sends at the moment of closing is lost.',
          ),
      }).transform(({ address, keep_alive: keepAliveMs }): ListenConfig => ({ address, keepAliveMs })),
    ],
    {
      error:
        'is neither an address nor a map: write an address and a port, such as 127.0.0.1:8080, or { address: …, keep_alive: … }',
    },
  )
  .prefault(defaultListen)
  .describe('Where browsers and load balancers reach the gateway: an address, or a map of `address` and `keep_alive`.');

/** Schema of `public_url`. */
export const publicUrlSection = z
  .union([publicUrl(), list(publicUrl(), 'public URLs').min(1, { error: `is empty: ${publicUrlRemedy}` })], {
    error: (issue) => `${issue.input === undefined ? 'is missing' : 'is neither a URL nor a list'}: ${publicUrlRemedy}`,
  })
  .transform((urls) => atLeastOne(Array.isArray(urls) ? urls : [urls]))
  .describe(
    'The address, or the list of addresses, under which users know the gateway: scheme and host, no path. A request ' +
      'for any other host is refused. The request’s own one is used for redirects and told to the webmail.',
  );

/** Schema of `trusted_proxies`. */
export const trustedProxiesSection = networks(
  'Networks of the load balancers whose X-Forwarded-For, -Proto and -Host are believed. Nobody is, until listed here.',
);

/** Schema of `proxy_protocol`. */
export const proxyProtocolSection = oneOf(proxyProtocolModes)
  .prefault('off')
  .describe(
    'Whether connections begin with a PROXY protocol header, version 1 or 2, that names the client: `off`; `optional`: ' +
      'those of `trusted_proxies` may; `required`: only `trusted_proxies` may connect, and always with one.',
  );

/** Schema of `operators`. */
export function operatorsSection(outside: Outside) {
  return section({
    listen: listenOn(
      '127.0.0.1:9090',
      'Where /metrics and the operators’ API are served. Keep it on loopback or a network of your own.',
    ),
    socket: ownFile(outside)
      .optional()
      .describe(
        'A unix socket on which the API is served as well, made with mode 0600: whoever may open it may do everything. ' +
          'The commands use it when it is there.',
      ),
    token: secret(outside)
      .optional()
      .describe('What a client of the API must show over TCP: `{ file: NAME }`. Left out: no API over TCP.'),
    host_names: list(hostName(), 'host names')
      .prefault([])
      .describe(
        'Names under which operators and their monitoring reach this listener, beside addresses, `localhost`, names without a ' +
          'dot and that of the machine. Any other Host is refused, but for /-/live and /-/ready.',
      ),
    agent_check: listenAddress('127.0.0.1:9091')
      .optional()
      .describe('Where HAProxy’s agent check is answered. Left out: nowhere.'),
    agent_weight: count({ atLeast: 1, atMost: 100 })
      .prefault(100)
      .describe('The percentage of its usual weight that HAProxy’s agent check gives this node; a reload changes it.'),
  })
    .transform(
      ({
        listen,
        socket,
        token,
        host_names: hostNames,
        agent_check: agentCheck,
        agent_weight: agentWeight,
      }): OperatorsConfig => ({
        listen,
        ...(hostNames.length === 0 ? {} : { hostNames }),
        ...(socket === undefined ? {} : { socket }),
        ...(token === undefined ? {} : { token }),
        ...(agentCheck === undefined ? {} : { agentCheck }),
        agentWeight,
      }),
    )
    .prefault({})
    .describe('The second listener, for operators. It is never reachable through the public one.');
}

/** Schema of `workers`. */
export const workersSection = z
  .union([oneOf(['auto'], 'a number of processes'), count({ atLeast: 1, atMost: 128 })], {
    error: 'is not a number of processes: write 1, another number, or auto for one per processor',
  })
  .prefault(1)
  .transform((workers) => (workers === 'auto' ? availableParallelism() : workers))
  .describe(
    'How many processes serve on this machine; `auto` is one per processor. More than one need `sessions.redis`. With ' +
      'several, the first process only leads them: reload, operators’ listener, metrics.',
  );

/** Schema of `requests`. */
export const requestsSection = section({
  header_size: size({ atLeast: 4096, atMost: 65_536 })
    .prefault('16 KiB')
    .describe('The most that a request’s head may take; beyond it the answer is 431.'),
  header_fields: count({ atLeast: 20, atMost: 1000 })
    .prefault(100)
    .describe('How many header fields a request may have; beyond it the answer is 431.'),
  header_deadline: duration({ atLeastMs: 1000 })
    .prefault('10s')
    .describe('How long a request’s head may take to arrive; after that the answer is 408.'),
  stall_timeout: duration({ atLeastMs: 1000 })
    .prefault('120s')
    .describe('A client that takes nothing of its answer, or sends nothing of its body, for so long is cut.'),
  upload_rate: size({ atLeast: 0, atMost: 1024 * 1024 })
    .prefault('1 KiB')
    .describe(
      'The least that a client must send of a body in a second, on average over `stall_timeout`; time in which the ' +
        'webmail does not read does not count. `0 B` is no least rate.',
    ),
  drop_headers: list(headerName(), 'field names')
    .prefault([])
    .describe('Further request header fields that never reach a backend, beside all that a client could forge.'),
})
  .transform(
    (requests): RequestsConfig => ({
      headerBytes: requests.header_size,
      headerFields: requests.header_fields,
      headerDeadlineMs: requests.header_deadline,
      stallMs: requests.stall_timeout,
      uploadBytesPerSecond: requests.upload_rate,
      dropHeaders: requests.drop_headers,
    }),
  )
  .prefault({})
  .describe('What a request may be, and how slow.');

/** Schema of `log`. */
export const logSection = section({
  level: oneOf(logLevels).prefault('info').describe('The least important events that are logged.'),
  requests: z
    .union([oneOf(['off', 'all']), z.number().gt(0, shareRemedy).lt(1, shareRemedy)], {
      error: shareRemedy,
    })
    .prefault('off')
    .describe('Which proxied requests are logged: `off`, `all`, or a share such as 0.01. Never a query string.'),
})
  .transform(
    ({ level, requests }): LogConfig => ({
      level,
      requests: requests === 'off' ? 0 : requests === 'all' ? 1 : requests,
    }),
  )
  .prefault({})
  .describe('The log: JSON lines on standard output.');

/** Schema of `shutdown`. */
export const shutdownSection = section({
  delay: duration({ atLeastMs: 0 })
    .prefault('5s')
    .describe('How long /-/ready says 503 before new connections are refused: load balancers must see it.'),
  deadline: duration({ atLeastMs: 1000 })
    .prefault('60s')
    .describe('How long requests and uploads in flight may take to finish.'),
})
  .transform(({ delay, deadline }): ShutdownConfig => ({ delayMs: delay, deadlineMs: deadline }))
  .prefault({})
  .describe('What SIGTERM does.');

/** A list of networks, empty unless said otherwise. */
export function networks(about: string, otherwise: readonly string[] = []) {
  const network = leaf({
    what: 'a network',
    remedy: 'write a network such as 10.1.2.0/24',
    examples: ['10.1.2.0/24', '2001:db8::/32'],
    parse: parseNetwork,
  });
  return list(network, 'networks such as 10.1.2.0/24')
    .prefault([...otherwise])
    .describe(about);
}

function listenOn(otherwise: string, about: string) {
  return listenAddress(otherwise).prefault(otherwise).describe(about);
}

/** Schema of an address and port to listen on; `example` stands in its error message. */
export function listenAddress(example: string) {
  const remedy = `write an address and a port, such as ${example}`;
  return leaf({ what: 'an address to listen on', remedy, examples: [example, '[::]:8080'], parse: parseListen });
}

function hostName() {
  const remedy = 'write a host name, such as postern.monitoring.example.org';
  return leaf({
    what: 'a host name',
    remedy,
    examples: ['postern.monitoring.example.org'],
    parse: (text) => {
      const host = parseHost(text);
      return host === undefined ? wrong(`${JSON.stringify(text)} is not a host name: ${remedy}`) : read(host);
    },
  });
}

function publicUrl() {
  return leaf({
    what: 'a public URL',
    remedy: publicUrlRemedy,
    examples: ['https://mail.example.org'],
    parse: parsePublicUrl,
  });
}

function headerName() {
  const remedy = 'write the name of a header field, such as X-Department';
  return leaf({
    what: 'a field name',
    remedy,
    examples: ['X-Department'],
    parse: (name) =>
      fieldName.test(name) ? read(name.toLowerCase()) : wrong(`${JSON.stringify(name)} is not a field name: ${remedy}`),
  });
}

/** Schema of `audit`. */
export function auditSection(outside: Outside) {
  return section({
    file: ownFile(outside)
      .prefault('state/audit.jsonl')
      .describe('Made with mode 0600. Each machine has its own; the processes of one machine share it.'),
    syslog: syslogSection(outside)
      .optional()
      .describe(
        'A syslog server that gets a copy of each line (RFC 5424): `tls://HOST` or `tcp://HOST`, or a map with `url`. ' +
          'Nothing waits for it.',
      ),
  })
    .transform(({ file, syslog }): AuditConfig => ({ file, ...(syslog === undefined ? {} : { syslog }) }))
    .prefault({})
    .describe('Where it is written what staff and operators do: see [audit.md](audit.md).');
}

function syslogSection(outside: Outside) {
  const remedy = `${syslogRemedy}; or { url: tls://HOST:6514, tls_ca_file: ca.crt }`;
  return z
    .union([syslogUrl().transform((url) => settle(url)), syslogMap(outside)], {
      error: `is neither a URL nor a map with one: ${remedy}`,
    })
    .transform((syslog): SyslogConfig => syslog);
}

function syslogMap(outside: Outside) {
  return section({
    url: syslogUrl().describe('`tls://` (port 6514 unless given) or `tcp://` (601), and the host.'),
    tls_ca_file: certificates(outside)
      .optional()
      .describe('PEM certificates of the authorities to trust instead of the system’s.'),
  }).transform(({ url, tls_ca_file: ca }) => settle(url, ca));
}

function syslogUrl() {
  return leaf({
    what: 'a syslog URL',
    remedy: syslogRemedy,
    examples: ['tls://siem.internal:6514'],
    parse: parseSyslogUrl,
  });
}

function settle({ host, port, isTls }: { host: string; port: number; isTls: boolean }, ca?: string): SyslogConfig {
  return { host, port, ...(isTls ? { tls: ca === undefined ? {} : { ca } } : {}) };
}

const remedy = 'write { certificate_file: fullchain.pem, key_file: privkey.pem }, or a list of such maps';
const longestKey = 64 * 1024;

/** Schema of `tls`. */
export function tlsSection(outside: Outside) {
  const pair = certificateAndKey(outside);
  return z
    .union([pair, list(pair, 'maps of certificate_file and key_file').min(1, { error: `is empty: ${remedy}` })], {
      error: `is neither a map nor a list of them: ${remedy}`,
    })
    .optional()
    .transform((pairs = []): readonly TlsCertificateConfig[] => (Array.isArray(pairs) ? pairs : [pairs]))
    .describe(
      'TLS on the public listener, HTTP/1.1, from version 1.2 on: a certificate with its key, or a list of them. The ' +
        'client’s server name picks one by its subjectAltName; the first is shown to everybody else. The files are ' +
        'read again when they change and on SIGHUP. Left out: TLS ends at the load balancer.',
    );
}

function certificateAndKey(outside: Outside) {
  const file = { what: 'a file name', remedy: 'write a path, relative to this file' };
  return section({
    certificate_file: leaf({ ...file, parse: (name) => certificateFile(name, outside) }).describe(
      'PEM: the certificate, and behind it those of the authorities between it and the root.',
    ),
    key_file: leaf({ ...file, parse: (name) => keyFile(name, outside) }).describe(
      'PEM: the private key, without a passphrase.',
    ),
  }).transform(({ certificate_file: certificate, key_file: key }, context): TlsCertificateConfig => {
    if (!new X509Certificate(certificate.pem).checkPrivateKey(key.key)) {
      context.addIssue({
        code: 'custom',
        path: ['key_file'],
        message: `is not the key of the certificate in ${certificate.file}: name the key that it was made for`,
      });
    }
    return { certificateFile: certificate.file, keyFile: key.file };
  });
}

function certificateFile(name: string, outside: Outside): Reading<{ readonly file: string; readonly pem: string }> {
  const pem = outside.certificates(name);
  return pem.kind === 'wrong' ? pem : read({ file: outside.path(name), pem: pem.value });
}

function keyFile(name: string, outside: Outside) {
  const bytes = outside.bytes(name, longestKey);
  if (bytes.kind === 'wrong') return bytes;
  try {
    return read({ file: outside.path(name), key: createPrivateKey(Buffer.from(bytes.value)) });
  } catch {
    // What OpenSSL says may quote the file.
    return wrong(`${outside.path(name)} holds no private key that can be read: name a PEM file without a passphrase`);
  }
}
