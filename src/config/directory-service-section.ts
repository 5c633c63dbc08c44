import type { DirectoryServiceConfig } from './config.ts';
import { count, leaf, section } from './leaves.ts';
import type { Outside } from './outside.ts';
import { listenAddress, networks } from './sections.ts';

const port = (otherwise: number) => count({ atLeast: 1, atMost: 65_535 }).prefault(otherwise);

/** The listener that tells other proxies where users live. */
export function directoryServiceSection(outside: Outside) {
  return section({
    listen: listenAddress('127.0.0.1:9092').describe('Where nginx’s mail proxy and others ask.'),
    allow: networks('Networks of the proxies that may ask.', ['127.0.0.1', '::1']),
    key_file: leaf({
      what: 'a file name',
      remedy: 'write the name of a file that holds a secret on one line, relative to this file',
      examples: ['state/directory-service-key'],
      parse: (text) => outside.secretFile(text),
    })
      .optional()
      .describe('A file with a key on one line, which who asks must show as `X-Postern-Key` or as a bearer token.'),
    ports: section({
      imap: port(143).describe('Where the IMAP servers listen.'),
      pop3: port(110).describe('Where the POP servers listen.'),
      smtp: port(25).describe('Where the servers listen that take mail from users.'),
    })
      .prefault({})
      .describe(
        'The ports of the mail servers to which these proxies connect; nginx’s mail proxy speaks no TLS to them.',
      ),
  })
    .transform(
      ({ key_file: key, ...service }): DirectoryServiceConfig => ({
        ...service,
        ...(key === undefined ? {} : { key }),
      }),
    )
    .optional()
    .describe(
      'Tells the IMAP, POP and SMTP proxies of the cluster where a user lives, so that mail and webmail never disagree. Left ' +
        'out: nobody is told.',
    );
}
