import { backendDefaultsSection, backendSection } from '../config/backends-section.ts';
import { listenSection, publicUrlSection } from '../config/listener-sections.ts';
import type { ReferencedFiles } from '../config/referenced-files.ts';
import { sessionsSection } from '../config/sessions-section.ts';
import { mailDomain } from '../schema/scalars.ts';

/** A backend of a new configuration. */
export interface InitBackend {
  readonly name: string;
  readonly imap: string;
  readonly webmail: string;
}

/** Says why an answer is wrong, as the sentence that follows it; undefined if it is right. */
export type Judge = (answer: string) => string | undefined;

/** What is wrong with a text that is no backend. */
export const noBackend = 'is not NAME=HOST or NAME=IMAP_URL,WEBMAIL_URL';

/** The part of a schema that judges. */
interface Schema {
  safeParse(value: unknown): {
    readonly error?: { readonly issues: readonly { readonly message: string }[] } | undefined;
  };
}

/** Judges an answer by the schema of its place in the configuration. */
function by(schema: Schema, place: (answer: string) => unknown = (answer) => answer): Judge {
  return (answer) => schema.safeParse(place(answer)).error?.issues[0]?.message;
}

/** Judges answers by the schema of the configuration, each alone, so that a slip is asked about again at once. */
export function answerJudges(referenced: ReferencedFiles) {
  const defaults = backendDefaultsSection(referenced);
  const backend = by(backendSection(referenced), (text) => {
    const { imap, webmail } = parseBackend(text) ?? {};
    return { imap, webmail };
  });
  return {
    publicUrl: by(publicUrlSection),
    listen: by(listenSection),
    domain: by(mailDomain()),
    redis: by(sessionsSection(referenced), (redis) => ({ redis })),
    driver: by(defaults, (driver) => ({ driver })),
    caFile: by(defaults, (tls_ca_file) => ({ tls_ca_file })),
    backends: (answer: string) =>
      answer
        .split(/\s+/)
        .map((text) => (parseBackend(text) === undefined ? noBackend : backend(text)))
        .find(Boolean) ?? whyAlike(answer.split(/\s+/)),
  };
}

/** Says which two backends are one; undefined if all differ. */
function whyAlike(texts: readonly string[]): string | undefined {
  const seen = new Set<string>();
  for (const { name, imap, webmail } of texts.flatMap((text) => parseBackend(text) ?? [])) {
    if (seen.has(name.toLowerCase())) return `names ${name} twice: give each backend a name of its own`;
    if (seen.has(`${imap} ${webmail}`)) return `has the servers of ${name} twice: name each server once`;
    seen.add(name.toLowerCase()).add(`${imap} ${webmail}`);
  }
  return undefined;
}

/** Reads a backend as it is written in an answer; undefined if it is none. */
export function parseBackend(text: string): InitBackend | undefined {
  const [, name, place = ''] = /^([^=\s]+)=(\S+)$/.exec(text) ?? [];
  if (name === undefined) return undefined;
  const [imap = '', webmail, ...others] = place.split(',');
  if (others.length > 0) return undefined;
  if (webmail !== undefined) return { name, imap, webmail };
  return place.includes('//') ? undefined : { name, imap: `imaps://${place}`, webmail: `http://${place}/` };
}
