import { pathOf } from '../core/cookie-jar.ts';
import type { PageToken } from '../core/webmail.ts';
import type { Upload } from './body-streams.ts';

/** Webmails write their token before everything else in a form: further in, none is looked for. */
const searchedBytes = 64 * 1024;

/** The target with the current token in the place of an older one. */
export function renewTarget(target: string, { name, value }: PageToken): string {
  const path = pathOf(target);
  const query = target.slice(path.length);
  // A function: in a text, `$` would mean something.
  return path + query.replaceAll(new RegExp(`([?&]${name}=)[^&#]*`, 'g'), (_whole, before: string) => before + value);
}

/**
 * Writes the current token in the place of the one at the beginning of a form, which goes on as it came otherwise; of
 * its body at most 64 KiB are held. Afterwards the upload can be read from its beginning.
 *
 * Answers by how many bytes the body is longer now; undefined if the upload was broken off before so much had come.
 */
export async function renewForm(
  upload: Upload,
  contentType: string | undefined,
  token: PageToken,
): Promise<number | undefined> {
  const find = tokenFinderFor(contentType, token);
  if (find === undefined) return 0;
  // Between two looks nobody else listens, and an error that nobody hears ends the process.
  upload.on('error', () => {});
  const held: Buffer[] = [];
  let bytes = 0;
  let found: TokenPosition = 'further';
  while (found === 'further' && bytes < searchedBytes) {
    const chunk: unknown = upload.read();
    if (chunk instanceof Buffer) {
      held.push(chunk);
      bytes += chunk.length;
      found = find(Buffer.concat(held).toString('latin1'), false);
    } else if (upload.complete) {
      found = find(Buffer.concat(held).toString('latin1'), true);
      break;
    } else if (upload.destroyed) return undefined;
    else await moreOrEnd(upload);
  }
  const start = Buffer.concat(held);
  const fresh = typeof found === 'string' ? start : replaceToken(start, found, token.value);
  if (fresh.length > 0) upload.unshift(fresh);
  return fresh.length - start.length;
}

/** Resolves when more can be read, or when no more will come. */
function moreOrEnd(upload: Upload): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = (): void => {
    upload.off('readable', done).off('close', done);
    resolve();
  };
  upload.on('readable', done).on('close', done);
  return promise;
}

/** Where the value of a token begins and ends; `further`: not in what has come; `none`: it will not come. */
type TokenPosition = { readonly from: number; readonly to: number } | 'further' | 'none';
type FindToken = (text: string, isAll: boolean) => TokenPosition;

function tokenFinderFor(contentType: string | undefined, { name }: PageToken): FindToken | undefined {
  const [, type = '', parameters = ''] = /^([^;]*)(.*)$/s.exec(contentType ?? '') ?? [];
  switch (type.trim().toLowerCase()) {
    case 'application/x-www-form-urlencoded':
      return tokenFinder('&', `${name}=`, '&');
    case 'multipart/form-data': {
      const boundary = /;\s*boundary="?([\w'()+,./:=? -]{1,70})"?/i.exec(parameters)?.[1];
      if (boundary === undefined) return undefined;
      const part = `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n`;
      return tokenFinder('\r\n', part, `\r\n--${boundary}`);
    }
    default:
      return undefined;
  }
}

/** The value stands between `before`, at the beginning of the form or after `separator`, and `after`. */
function tokenFinder(separator: string, before: string, after: string): FindToken {
  return (text, isAll) => {
    const notYet = isAll ? 'none' : 'further';
    const at = text.startsWith(before) ? 0 : text.indexOf(separator + before);
    if (at === -1) return notYet;
    const from = at + (at === 0 ? 0 : separator.length) + before.length;
    const to = text.indexOf(after, from);
    if (to !== -1) return { from, to };
    return isAll ? { from, to: text.length } : notYet;
  };
}

function replaceToken(start: Buffer, { from, to }: Exclude<TokenPosition, string>, value: string): Buffer {
  return Buffer.concat([start.subarray(0, from), Buffer.from(value), start.subarray(to)]);
}
