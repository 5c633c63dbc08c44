import { z } from 'zod';
import { list, oneOf, section, text } from '../schema/scalars.ts';
import { backendDefaultsSection, backendSection } from './backends-section.ts';
import { directorySection, directoryServiceSection } from './directory-section.ts';
import { loginSection } from './login-section.ts';
import {
  auditSection,
  listenSection,
  logSection,
  operatorsSection,
  proxyProtocolSection,
  publicUrlSection,
  requestsSection,
  shutdownSection,
  tlsSection,
  trustedProxiesSection,
  workersSection,
} from './node-sections.ts';
import { certificates, type Outside } from './referenced-files.ts';
import { movesSection, sessionsSection, stateSection } from './sessions-section.ts';
import { supportSection } from './support-section.ts';

/**
 * The schema of the main file, key by key, in the order in which the reference shows them. `outside` belongs to the
 * file that is read: the leaves open what it names.
 */
export function configShape(outside: Outside) {
  return {
    listen: listenSection,
    public_url: publicUrlSection,
    tls: tlsSection(outside),
    trusted_proxies: trustedProxiesSection,
    proxy_protocol: proxyProtocolSection,
    operators: operatorsSection(outside),
    workers: workersSection,
    sessions: sessionsSection(outside),
    state: stateSection(outside),
    audit: auditSection(outside),
    moves: movesSection(outside),
    directory: directorySection(outside),
    directory_service: directoryServiceSection(outside),
    passdb: passdbSection(outside),
    login: loginSection(outside),
    support: supportSection,
    backend_defaults: backendDefaultsSection(outside),
    backends: backendsSection(outside),
    include: includeSection,
    requests: requestsSection,
    log: logSection,
    shutdown: shutdownSection,
  };
}

/** Keys that an included file may have. */
export const includedKeys = ['backends'] as const;

const pattern = text('a file name', 'write a pattern such as backends.d/*.yaml');

const includeSection = z
  .union([pattern, list(pattern, 'patterns such as backends.d/*.yaml')], {
    error: 'is neither a pattern nor a list of them: write include: backends.d/*.yaml',
  })
  .transform((patterns) => (Array.isArray(patterns) ? patterns : [patterns]))
  .prefault([])
  .describe(
    'Further files, as a pattern or a list of patterns. Each holds a `backends:` part and nothing else; paths in it are ' +
      'relative to it.',
  );

function passdbSection(outside: Outside) {
  return section({
    type: oneOf(['imap']).prefault('imap').describe('Who checks passwords: the IMAP server of the user’s backend.'),
    tls_ca_file: certificates(outside)
      .optional()
      .describe('PEM certificates of the authorities to trust for IMAP, where a backend names none of its own.'),
  })
    .prefault({})
    .describe('How a password is checked.');
}

function backendsSection(outside: Outside) {
  return z
    .record(z.string(), backendSection(outside), {
      error: 'is not a map of backends: write { a: { imap: imaps://HOST, webmail: http://HOST/ } }',
    })
    .prefault({})
    .describe('The home mailbox servers, by name. A name is letters, digits, dots, dashes and underscores.');
}
