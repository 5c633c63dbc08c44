import { createPrivateKey, X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { defined } from '../core/objects.ts';
import { apiRoles, apiTokenHash, isApiTokenHash } from '../core/secrets.ts';
import {
  arrayOf,
  atLeastOne,
  duration,
  integer,
  leaf,
  leafOrNumber,
  listenAddress,
  networks,
  oneOf,
  publicUrl,
  section,
  time,
} from '../schema/scalars.ts';
import {
  formatDuration,
  parseHost,
  publicUrlRemedy,
  read,
  type Reading,
  shownValue,
  wrong,
} from '../schema/value-parsers.ts';
import { ownFile, type ReferencedFiles, secret } from './referenced-files.ts';

const defaultListen = '127.0.0.1:8080';
const defaultKeepAliveMs = 65_000;

/** Schema of `listen`. */
export const listenSection = z
  .union(
    [
      listenAddress(defaultListen).transform((address) => ({ address, keepAliveMs: defaultKeepAliveMs })),
      section({
        address: listenAddress(defaultListen).prefault(defaultListen).describe('The address and the port.'),
        keep_alive: duration({ atLeastMs: 1000 })
          .prefault(formatDuration(defaultKeepAliveMs))
          .describe(
            'How long an idle connection is kept. Set it longer than in the load balancer (docs/load-balancers.md has a ' +
              'table): a request that it sends at the moment of closing would be lost.',
          ),
      }).transform(({ address, keep_alive: keepAliveMs }) => ({ address, keepAliveMs })),
    ],
    {
      error:
        'is neither an address nor a map: write an address and a port, such as 127.0.0.1:8080, or { address: …, keep_alive: … }',
    },
  )
  .prefault(defaultListen)
  .describe('Where browsers and load balancers reach the gateway: an address, or a map of `address` and `keep_alive`.');

const aPublicUrl = publicUrl('https://mail.example.org');

/** Schema of `public_url`. */
export const publicUrlSection = z
  .union([aPublicUrl, arrayOf(aPublicUrl, 'public URLs').min(1, { error: `is empty: ${publicUrlRemedy}` })], {
    error: (issue) => `${issue.input === undefined ? 'is missing' : 'is neither a URL nor a list'}: ${publicUrlRemedy}`,
  })
  .transform((urls) => atLeastOne(Array.isArray(urls) ? urls : [urls]))
  .describe(
    'The address under which users reach the gateway, or a list of them: scheme and host, no path. Requests ' +
      'for other hosts are refused. Redirects and the webmail get the address that the request used.',
  );

/** Schema of `trusted_proxies`. */
export const trustedProxiesSection = networks(
  'Networks of the load balancers whose X-Forwarded-For, -Proto and -Host are believed. By default, none are.',
);

/** Schema of `proxy_protocol`. */
export const proxyProtocolSection = oneOf(['off', 'optional', 'required'])
  .prefault('off')
  .describe(
    'Whether connections begin with a PROXY protocol header, version 1 or 2, that names the client: `off`; `optional`: ' +
      'those of `trusted_proxies` may; `required`: only `trusted_proxies` may connect, and always with one.',
  );

/** Schema of `operators`. */
export function operatorsSection(referenced: ReferencedFiles) {
  return section({
    listen: listenOn(
      '127.0.0.1:9090',
      'The address of /metrics and the operators’ API. Keep it on loopback or in a network of your own.',
    ),
    socket: ownFile(referenced)
      .optional()
      .describe(
        'A unix socket for the API, created with mode 0600, or as `socket_access` says: whoever may open it may do ' +
          'everything. The commands use it if it is set.',
      ),
    socket_access: oneOf(['owner', 'group'])
      .prefault('owner')
      .describe(
        'Who may open the socket: its `owner`, the user that runs the gateway, or also its `group` (mode 0660).',
      ),
    socket_group: groupOfMachine()
      .optional()
      .describe(
        'The group that gets the socket, by name or number, with `socket_access: group`; the group of the gateway’s user ' +
          'unless given. That user must be a member of it, or root.',
      ),
    token: secret(referenced)
      .optional()
      .describe(
        'One token for all API clients over TCP, which may do everything: `{ file: NAME }`. Better use `tokens`: each has ' +
          'a name, for the audit, a role and an end. Without either there is no API over TCP.',
      ),
    tokens: arrayOf(apiTokenSection(), 'maps of name and hash')
      .prefault([])
      .superRefine((tokens, context) => {
        for (const [index, { name }] of tokens.entries()) {
          if (tokens.findIndex((one) => one.name === name) === index) continue;
          const message = `${name} is the name of another token, too: the audit could not tell them apart`;
          context.addIssue({ code: 'custom', path: [index, 'name'], message });
        }
      })
      .describe('Tokens of API clients over TCP, each with its name. `postern token create` makes one.'),
    host_names: arrayOf(hostName(), 'host names')
      .prefault([])
      .describe(
        'Names under which operators and monitoring reach this listener, besides addresses, `localhost`, names without a ' +
          'dot and the host name of the machine. Other Hosts are refused, except for /-/live and /-/ready.',
      ),
    agent_check: listenAddress('127.0.0.1:9091')
      .optional()
      .describe('The address that answers HAProxy’s agent check. Left out: none.'),
    agent_weight: integer({ atLeast: 1, atMost: 100 })
      .prefault(100)
      .describe(
        'The share of its usual weight, in percent, that the agent check reports for this node. A reload applies it.',
      ),
  })
    .superRefine(checkSocketGroup)
    .transform(
      ({
        listen,
        socket,
        socket_access: access,
        socket_group: socketGroup,
        token,
        tokens,
        host_names: hostNames,
        ...agent
      }) => ({
        listen,
        tokens,
        ...defined({ socket, socketGroup, token, agentCheck: agent.agent_check }),
        socketMode: access === 'group' ? 0o660 : 0o600,
        hostNames,
        agentWeight: agent.agent_weight,
      }),
    )
    .prefault({})
    .describe('The listener for operators. The public listener never serves what it serves.');
}

/** Reports a group that would not get in. */
function checkSocketGroup(
  { socket_access: access, socket_group: group }: { readonly socket_access: string; readonly socket_group?: unknown },
  context: z.core.$RefinementCtx,
): void {
  if (group === undefined || access === 'group') return;
  const message = 'has no effect, since only the owner may open the socket: add socket_access: group, or leave it out';
  context.addIssue({ code: 'custom', path: ['socket_group'], message });
}

/** The largest number of a group on Linux; the next one means none. */
const mostGroup = 2 ** 32 - 2;

/** A group of this machine: its name, or its number. */
function groupOfMachine() {
  const remedy = 'write one such as adm, or its number';
  return leafOrNumber({
    what: 'a name or number of a group',
    remedy,
    parse: (text) => {
      if (/^\d{1,10}$/.test(text) && Number(text) <= mostGroup) return read<number | string>(Number(text));
      const isName = /^(?!\d+$)[^-:,\s\p{C}][^:,\p{C}]{0,255}$/u.test(text);
      return isName
        ? read<number | string>(text)
        : wrong(`${shownValue(text)} is not a name or number of a group: ${remedy}`);
    },
  });
}

function apiTokenSection() {
  const nameRemedy = 'write a short name, such as monitoring';
  const hashRemedy = 'write the one that postern token create prints, such as sha256:…';
  return section({
    name: leaf({
      what: 'a name of a token',
      remedy: nameRemedy,
      examples: ['monitoring'],
      parse: (name) =>
        /^[A-Za-z0-9][\w.@-]{0,63}$/.test(name)
          ? read(name)
          : wrong(`${shownValue(name)} is not a name of a token: ${nameRemedy}`),
    }).describe('The name of the client in the audit.'),
    hash: leaf({
      what: 'a hash of a token',
      remedy: hashRemedy,
      examples: [apiTokenHash('an example')],
      parse: (hash) => (isApiTokenHash(hash) ? read(hash) : wrong(`is not a hash of a token: ${hashRemedy}`)),
    }).describe('SHA-256 of the token. The token itself, 256 random bits, stands nowhere.'),
    role: oneOf(apiRoles)
      .prefault('read')
      .describe('`read`: only GET; `lock`: only to lock, unlock and list locks; `operator`: everything.'),
    expires: time().optional().describe('The token is refused from this time on. Left out: never.'),
  }).transform(({ name, hash, role, expires }) => ({ name, hash, role, ...defined({ expiresMs: expires }) }));
}

const pairRemedy = 'write { certificate_file: fullchain.pem, key_file: privkey.pem }, or a list of such maps';
const maxPemBytes = 64 * 1024;

/** Schema of `tls`. */
export function tlsSection(referenced: ReferencedFiles) {
  const pair = certificateAndKey(referenced);
  return z
    .union(
      [pair, arrayOf(pair, 'maps of certificate_file and key_file').min(1, { error: `is empty: ${pairRemedy}` })],
      {
        error: `is neither a map nor a list of them: ${pairRemedy}`,
      },
    )
    .optional()
    .transform((pairs = []) => (Array.isArray(pairs) ? pairs : [pairs]))
    .describe(
      'TLS on the public listener, HTTP/1.1, from version 1.2 on: a certificate with its key, or a list of them. The ' +
        'client’s server name selects one by subjectAltName; everybody else gets the first. The files are ' +
        'read again when they change and on SIGHUP. Left out: TLS ends at the load balancer.',
    );
}

function certificateAndKey(referenced: ReferencedFiles) {
  const file = { what: 'a file name', remedy: 'write a path, relative to this file' };
  return section({
    certificate_file: leaf({ ...file, parse: (name) => certificateFile(name, referenced) }).describe(
      'PEM: the certificate, followed by its intermediate certificates.',
    ),
    key_file: leaf({ ...file, parse: (name) => keyFile(name, referenced) }).describe(
      'PEM: the private key, without a passphrase.',
    ),
  }).transform(({ certificate_file: certificate, key_file: key }, context) => {
    if (!new X509Certificate(certificate.pem).checkPrivateKey(key.key)) {
      context.addIssue({
        code: 'custom',
        path: ['key_file'],
        message: `does not match the certificate in ${certificate.file}: name the key that belongs to it`,
      });
    }
    return { certificateFile: certificate.file, keyFile: key.file };
  });
}

function certificateFile(
  name: string,
  referenced: ReferencedFiles,
): Reading<{ readonly file: string; readonly pem: string }> {
  const pem = referenced.certificates(name);
  return pem.kind === 'wrong' ? pem : read({ file: referenced.path(name), pem: pem.value });
}

function keyFile(name: string, referenced: ReferencedFiles) {
  const bytes = referenced.secretBytes(name, maxPemBytes);
  if (bytes.kind === 'wrong') return bytes;
  try {
    return read({ file: referenced.path(name), key: createPrivateKey(Buffer.from(bytes.value)) });
  } catch {
    // OpenSSL's message may quote the file.
    return wrong(`${referenced.path(name)} contains no readable private key: name a PEM file without a passphrase`);
  }
}

function listenOn(otherwise: string, about: string) {
  return listenAddress(otherwise).prefault(otherwise).describe(about);
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
