import { z } from 'zod';
import type { BackendHost, BasicPath } from '../core/backend.ts';
import { arrayOf, leaf } from '../schema/scalars.ts';
import { parseWebmailUrl, read, type Reading, shownValue, urlOrigin, wrong } from '../schema/value-parsers.ts';

/** The server of a path: the webmail, or the machine that the function names. */
type Server = 'webmail' | ((hostname: string) => Reading<string>);

interface WrittenPath {
  readonly prefix: string;
  readonly server: Server;
}

const pathRemedy = 'write a path such as /SOGo/dav, which covers itself and everything below it';
const davServerRemedy = 'write webmail, or scheme and host of another server, such as http://$host:8081';
/** Stands for the host of a backend in the URLs of the defaults. */
export const hostMark = '$host';
/** A path that every server reads alike: no query, escapes, dot segments or empty segments. */
const pathForm = /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~!$&'()*+,=:@-]+)+$/;

/** The long description of `dav`. */
export const davAbout =
  'Paths under which DAV, ActiveSync and other clients send name and password with each request: a list, or a map of ' +
  'paths to `webmail` or to another server, in whose URL `$host` stands for the webmail’s host. Left out: those that ' +
  'the driver knows, see its settings. `[]` for none.';

/** `dav`: a list of paths, or a map of paths to who serves them. */
export function davSection(about: string) {
  const paths = arrayOf(path(), 'paths such as /SOGo/dav').transform((prefixes): WrittenPath[] =>
    prefixes.map((prefix) => ({ prefix, server: 'webmail' })),
  );
  const servers = z.record(z.string(), server()).transform((entries, context): WrittenPath[] =>
    Object.entries(entries).flatMap(([key, server]) => {
      const prefix = parsePath(key);
      if (prefix.kind === 'ok') return [{ prefix: prefix.value, server }];
      context.addIssue({ code: 'custom', path: [key], message: prefix.why });
      return [];
    }),
  );
  return z
    .union([paths, servers], { error: `is neither a list of paths nor a map of them: ${pathRemedy}` })
    .optional()
    .describe(about);
}

/** The client paths of a backend as they are written. */
export function settleBasicPaths(written: readonly WrittenPath[], hosts: readonly BackendHost[]): readonly BasicPath[] {
  return written.map(({ prefix, server }) => {
    if (server === 'webmail') return { prefix };
    const origins = hosts.flatMap(({ name, webmail }) => {
      const origin = server(new URL(webmail.origin).hostname);
      return origin.kind === 'ok' ? [[name, origin.value]] : [];
    });
    return { prefix, elsewhere: Object.fromEntries(origins) };
  });
}

function path() {
  return leaf({ what: 'a path', remedy: pathRemedy, examples: ['/SOGo/dav'], parse: parsePath });
}

function parsePath(text: string): Reading<string> {
  const prefix = text.replace(/\/$/, '');
  if (prefix === '/-' || prefix.startsWith('/-/')) {
    return wrong(`${shownValue(text)} is under /-/, which belongs to the gateway: ${pathRemedy}`);
  }
  return pathForm.test(prefix) ? read(prefix) : wrong(`${shownValue(text)} is not a valid path: ${pathRemedy}`);
}

function server() {
  return leaf<Server>({
    what: 'a server',
    remedy: davServerRemedy,
    examples: ['webmail', 'http://$host:8081'],
    parse: (text) => {
      if (text === 'webmail') return read(text);
      const fill = (hostname: string) => parseOrigin(text.replace(hostMark, () => hostname));
      const sample = fill('host.invalid');
      return sample.kind === 'wrong' ? wrong(sample.why.replace('host.invalid', hostMark)) : read(fill);
    },
  });
}

function parseOrigin(text: string): Reading<string> {
  const url = parseWebmailUrl(text);
  if (url.kind === 'wrong') return wrong(`${shownValue(text)} is not a server: ${davServerRemedy}`);
  const { scheme, host, port, landing } = url.value;
  if (landing !== '/') return wrong(`${shownValue(text)} has a path, but requests keep their own: ${davServerRemedy}`);
  return read(urlOrigin(scheme, host, port));
}
