import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { readNamedFile } from '../core/named-files.ts';
import type { Settings } from './settings.ts';

export interface TlsSettings {
  /** The name that the certificate must carry, if not the host's own. */
  readonly serverName: string | undefined;
  /** The options for a connection to this host; reads the file of authorities. */
  load(): Promise<(host: string) => ConnectionOptions>;
}

/** Reads `tls_ca_file` and `tls_server_name`. */
export function readTls(settings: Settings): TlsSettings {
  const caFile = settings.optionalText('tls_ca_file');
  const serverName = settings.optionalText('tls_server_name');
  return {
    serverName,
    async load() {
      const ca = caFile === undefined ? {} : { ca: (await readNamedFile(caFile)).toString() };
      return (host) => {
        const name = serverName ?? host;
        // An address cannot be announced (RFC 6066), but the certificate must still carry it.
        return { ...ca, minVersion: 'TLSv1.2', host: name, ...(isIP(name) === 0 ? { servername: name } : {}) };
      };
    },
  };
}
