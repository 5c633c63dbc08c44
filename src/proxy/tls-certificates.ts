import { X509Certificate } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { Socket } from 'node:net';
import { createSecureContext, type SecureContext, type Server, type TlsOptions } from 'node:tls';
import type { Clock } from '../core/clock.ts';
import { plainAddress } from '../core/ip-networks.ts';
import { createWarnings, type Log } from '../core/log.ts';
import { readNamedFile } from '../core/named-files.ts';

/** PEM files of a certificate, with its chain, and of its key. */
interface CertificateFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** Options of the TLS certificates. */
interface TlsCertificatesOptions {
  /** The default certificate first. */
  readonly files: readonly CertificateFiles[];
  readonly log: Log;
  readonly clock: Clock;
  /** How often the files are checked for changes. */
  readonly everyMs?: number;
}

/** The certificates of a listener, which follow their files. */
export interface TlsCertificates {
  /** The options of an HTTPS server, on which {@link follow} must be called. */
  readonly options: TlsOptions;
  /** Gives a new default certificate to the server. Certificates by name are chosen at each handshake. */
  follow(server: Server): void;
  /** Reads these files instead of those before. Logs what is wrong, and keeps the old certificates then. */
  reload(files: readonly CertificateFiles[]): Promise<void>;
  /** When each certificate in use expires, with its file and the first of its names. */
  expiries(): Iterable<{ readonly file: string; readonly name: string; readonly validToMs: number }>;
  /** Logs a client that does not speak TLS. */
  notice(error: Error, connection: unknown): void;
  close(): void;
}

interface LoadedCertificate {
  readonly file: string;
  readonly cert: string;
  readonly key: string;
  readonly leaf: X509Certificate;
  readonly context: SecureContext;
}

const minVersion = 'TLSv1.2';
const lookEveryMs = 10_000;

/**
 * Reads the certificates. Rejects if one cannot be used; later, a wrong file leaves the old certificates in use.
 *
 * A change does not affect open connections. The files are polled, because a file watcher does not survive the ways in
 * which certificates are replaced: by renaming, or behind a symbolic link.
 */
export async function openTlsCertificates(options: TlsCertificatesOptions): Promise<TlsCertificates> {
  const { log, clock, everyMs = lookEveryMs } = options;
  let { files } = options;
  const warn = createWarnings(log, clock);
  let seen = await fileStampsOf(files);
  let identities = await readIdentities(files);
  let server: Server | undefined;
  const [first] = identities;
  if (first === undefined) throw new TypeError('TLS needs a certificate');
  tell();

  function tell(): void {
    for (const { leaf } of identities) {
      const facts = { names: leaf.subjectAltName, validTo: leaf.validTo };
      if (Date.parse(leaf.validTo) > clock.nowMs()) log.info('certificate-in-use', facts);
      else log.error('certificate-expired', facts);
    }
  }

  async function renew(): Promise<void> {
    try {
      identities = await readIdentities(files);
    } catch (error) {
      log.error('certificates-not-read', { err: error });
      return;
    }
    const [standard] = identities;
    if (standard !== undefined) server?.setSecureContext({ cert: standard.cert, key: standard.key, minVersion });
    tell();
  }

  async function look(): Promise<void> {
    const stamp = await fileStampsOf(files);
    if (stamp === seen) return;
    seen = stamp;
    await renew();
  }

  const timer = setInterval(() => void look(), everyMs).unref();
  return {
    options: {
      cert: first.cert,
      key: first.key,
      minVersion,
      ALPNProtocols: ['http/1.1'],
      SNICallback(name, answer) {
        const named = identities.find(({ leaf }) => leaf.checkHost(name) !== undefined);
        answer(null, (named ?? identities[0])?.context);
      },
    },
    follow: (listener) => void (server = listener),
    async reload(next) {
      files = next;
      seen = await fileStampsOf(files);
      await renew();
    },
    expiries: () =>
      identities.map(({ file, leaf }) => ({ file, name: firstNameIn(leaf), validToMs: Date.parse(leaf.validTo) })),
    notice(error, connection) {
      const code = 'code' in error ? error.code : undefined;
      if (code !== 'ERR_SSL_HTTP_REQUEST' && code !== 'ERR_SSL_WRONG_VERSION_NUMBER') return;
      const peer = plainAddress((connection instanceof Socket ? connection.remoteAddress : undefined) ?? '');
      warn('tls-expected', peer, { peer, code });
    },
    close: () => clearInterval(timer),
  };
}

/** The first name of a certificate. */
function firstNameIn({ subjectAltName, subject }: X509Certificate): string {
  const named = /(?:DNS|IP Address):([^,]+)/.exec(subjectAltName ?? '') ?? /^CN=(.*)$/m.exec(subject);
  return named?.[1] ?? '';
}

async function readIdentities(files: readonly CertificateFiles[]): Promise<readonly LoadedCertificate[]> {
  return Promise.all(
    files.map(async ({ certificateFile, keyFile }) => {
      const [cert, key] = await Promise.all([readPem(certificateFile), readPem(keyFile)]);
      // Throws if the two do not match, as between the two writes of a renewal. The next check finds both.
      return {
        file: certificateFile,
        cert,
        key,
        leaf: new X509Certificate(cert),
        context: createSecureContext({ cert, key, minVersion }),
      };
    }),
  );
}

async function readPem(file: string): Promise<string> {
  return (await readNamedFile(file)).toString();
}

/** A text that changes whenever a file is written or replaced. */
async function fileStampsOf(files: readonly CertificateFiles[]): Promise<string> {
  const names = files.flatMap(({ certificateFile, keyFile }) => [certificateFile, keyFile]);
  const stamps = await Promise.all(
    names.map((name) =>
      stat(name).then(
        ({ mtimeMs, size, ino }) => `${mtimeMs} ${size} ${ino}`,
        () => 'none',
      ),
    ),
  );
  return stamps.join();
}
