import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from '../../programs.ts';

export interface Certificates {
  readonly caFile: string;
  readonly certificateFile: string;
  readonly keyFile: string;
}

const openssl = (...args: readonly string[]): Promise<string> => runProgram('openssl', args);

/** Makes an authority and a server certificate of it for `localhost`, `db.example.test` and 127.0.0.1, in a folder. */
export async function makeCertificates(folder: string): Promise<Certificates> {
  const file = (name: string): string => join(folder, name);
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await openssl(
    'req',
    '-x509',
    ...newKey,
    '-days',
    '2',
    '-subj',
    '/CN=Test CA',
    '-keyout',
    file('ca.key'),
    '-out',
    file('ca.crt'),
  );
  await openssl('req', ...newKey, '-subj', '/CN=localhost', '-keyout', file('server.key'), '-out', file('server.csr'));
  await writeFile(file('names'), 'subjectAltName=DNS:localhost,DNS:db.example.test,IP:127.0.0.1\n');
  const signing = ['-CA', file('ca.crt'), '-CAkey', file('ca.key'), '-CAcreateserial', '-extfile', file('names')];
  await openssl('x509', '-req', '-days', '2', '-in', file('server.csr'), '-out', file('server.crt'), ...signing);
  return { caFile: file('ca.crt'), certificateFile: file('server.crt'), keyFile: file('server.key') };
}
