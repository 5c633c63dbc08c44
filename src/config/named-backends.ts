import type { z } from 'zod';
import type { BackendName } from '../core/names.ts';
import { backendSection } from './backends-section.ts';
import type { ConfigFile } from './config-file.ts';
import type { Findings } from './findings.ts';
import { shown } from './reading.ts';
import { isMap } from './settings.ts';
import type { Path } from './yaml-file.ts';

/** A backend as one file names it. */
export interface NamedBackend {
  readonly name: BackendName;
  readonly entry: z.output<ReturnType<typeof backendSection>>;
  /** Where it stands: the key of the backend, in the file whose findings these are. */
  readonly path: Path;
  readonly findings: Findings;
}

const namePattern = /^[a-z0-9][a-z0-9._-]{0,63}$/i;

/**
 * All backends of all files. `names` holds each name that stands somewhere, also where its backend has problems; what
 * is wrong with a name, with a backend by itself, or with two of one name, is noted.
 */
export function readBackends(files: readonly ConfigFile[]): {
  readonly backends: readonly NamedBackend[];
  readonly names: ReadonlySet<string>;
} {
  const backends: NamedBackend[] = [];
  const names = new Set<string>();
  // Names that differ in case alone would be one in a file name, and two in a directory's answer.
  const places = new Map<string, string>();
  for (const file of files) {
    const { findings } = file;
    const part = file.root['backends'] ?? {};
    if (!isMap(part)) {
      findings.add(
        ['backends'],
        'is not a map of backends: write { a: { imap: imaps://HOST, webmail: http://HOST/ } }',
      );
      continue;
    }
    const schema = backendSection(file.outside);
    for (const [name, value] of Object.entries(part)) {
      const path = ['backends', name];
      const before = places.get(name.toLowerCase());
      if (before === undefined) places.set(name.toLowerCase(), file.name);
      else findings.add(path, `is a backend in ${before} already: give this one another name`, 'key');
      names.add(name);
      const entry = findings.parse(schema, value, path);
      if (!isBackendName(name)) {
        findings.add(path, `${shown(name)} cannot be a name: write letters, digits, dots, dashes, underscores`, 'key');
      } else if (entry !== undefined && before === undefined) {
        backends.push({ name, entry, path, findings });
      }
    }
  }
  return { backends, names };
}

function isBackendName(text: string): text is BackendName {
  return namePattern.test(text);
}
