import { z } from 'zod';
import type { AuditConfig, SyslogConfig } from './config.ts';
import { certificates, leaf, ownFile, section } from './leaves.ts';
import type { Outside } from './outside.ts';
import { parseSyslogUrl, syslogRemedy } from './urls.ts';

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
