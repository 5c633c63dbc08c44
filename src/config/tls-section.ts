import { createPrivateKey, X509Certificate } from 'node:crypto';
import { z } from 'zod';
import type { TlsCertificateConfig } from './config.ts';
import { leaf, list, section } from './leaves.ts';
import type { Outside } from './outside.ts';
import { type Reading, read, wrong } from './reading.ts';

const remedy = 'write { certificate_file: fullchain.pem, key_file: privkey.pem }, or a list of such maps';
const longestKey = 64 * 1024;

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
