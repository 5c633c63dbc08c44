import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { loadConfig, type LoadOptions } from '../../src/config/load.ts';
import { ConfigInvalid, formatProblem } from '../../src/config/problems.ts';
import { referenceExamples } from '../../tools/config-reference.ts';
import { makeCertificate } from '../passdb/certificates.fixture.ts';

/** A certificate for tests that only need some authority to trust. */
export const someCertificate = makeCertificate('DNS:mx.test').cert;

/** Writes files into a directory of the test's own and returns its path. */
export function filesOf(t: TestContext, files: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(join(tmpdir(), 'postern-config-'));
  t.after(() => rmSync(directory, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
  return directory;
}

/** The least that is a configuration; `more` is put under it. */
export function smallest(more = ''): string {
  return `public_url: http://127.0.0.1:8080
directory: { sources: [{ type: static, backend: a }] }
backends:
  a: { imap: imaps://mx1.test, webmail: http://mx1.test/, driver: none }
${more}`;
}

/** Loads `postern.yaml` among the files. */
export function load(t: TestContext, files: Readonly<Record<string, string>>, options: Partial<LoadOptions> = {}) {
  return loadConfig(join(filesOf(t, files), 'postern.yaml'), { env: {}, ...options });
}

/** The examples of the reference, which are one configuration. */
export function loadExamples(t: TestContext) {
  const { cert, key } = makeCertificate('DNS:webmail.example.org');
  return load(t, {
    'postern.yaml': [...referenceExamples.values()].join('\n'),
    'ca.crt': someCertificate,
    'fullchain.pem': cert,
    'privkey.pem': key,
    'logo.svg': '<svg/>',
    'logo-dark.svg': '<svg/>',
    'redis.password': 'secret\n',
    'secrets/doveadm': 'secret\n',
    'backends.d/more.yaml': 'backends: { b4: mx4.internal }\n',
  });
}

/** The problems of `postern.yaml` among the files, as lines; the directory of the test is written as DIR. */
export async function problemsOf(
  t: TestContext,
  files: Readonly<Record<string, string>>,
  options: Partial<LoadOptions> = {},
): Promise<readonly string[]> {
  const directory = filesOf(t, files);
  try {
    await loadConfig(join(directory, 'postern.yaml'), { env: {}, ...options });
    return [];
  } catch (error) {
    if (!(error instanceof ConfigInvalid)) throw error;
    return error.problems.map((problem) =>
      formatProblem(problem)
        .replaceAll(`${directory}/`, 'DIR/')
        .replace(/^DIR\//, ''),
    );
  }
}
