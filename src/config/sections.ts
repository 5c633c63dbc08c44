import { availableParallelism } from 'node:os';
import { z } from 'zod';
import {
  type LogConfig,
  logLevels,
  type OperatorsConfig,
  proxyProtocolModes,
  type RequestsConfig,
  type ShutdownConfig,
} from './config.ts';
import { type ListenAddress, parseHost, parseListen, parseNetwork } from './hosts.ts';
import { formatDuration } from './quantities.ts';
import { atLeastOne, count, duration, leaf, list, oneOf, ownFile, secret, section, size } from './leaves.ts';
import type { Outside } from './outside.ts';
import { read, wrong } from './reading.ts';
import { parsePublicUrl, publicUrlRemedy } from './urls.ts';

const shareRemedy = 'is not known here: write off, all, or a share between 0 and 1 such as 0.01';
const fieldName = /^[A-Za-z0-9-]{1,128}$/;

interface ListenConfig {
  readonly address: ListenAddress;
  readonly keepAliveMs: number;
}

const defaultListen = '127.0.0.1:8080';
const defaultKeepAliveMs = 65_000;

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

export const publicUrlSection = z
  .union([publicUrl(), list(publicUrl(), 'public URLs').min(1, { error: `is empty: ${publicUrlRemedy}` })], {
    error: (issue) => `${issue.input === undefined ? 'is missing' : 'is neither a URL nor a list'}: ${publicUrlRemedy}`,
  })
  .transform((urls) => atLeastOne(Array.isArray(urls) ? urls : [urls]))
  .describe(
    'The address, or the list of addresses, under which users know the gateway: scheme and host, no path. A request ' +
      'for any other host is refused. The request’s own one is used for redirects and told to the webmail.',
  );

export const trustedProxiesSection = networks(
  'Networks of the load balancers whose X-Forwarded-For, -Proto and -Host are believed. Nobody is, until listed here.',
);

export const proxyProtocolSection = oneOf(proxyProtocolModes)
  .prefault('off')
  .describe(
    'Whether connections begin with a PROXY protocol header, version 1 or 2, that names the client: `off`; `optional`: ' +
      'those of `trusted_proxies` may; `required`: only `trusted_proxies` may connect, and always with one.',
  );

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
