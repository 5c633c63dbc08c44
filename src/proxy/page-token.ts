import { pathOf } from '../core/cookie-jar.ts';
import type { PageToken } from '../core/webmail.ts';
import type { Upload } from './body-streams.ts';

/** The token is searched for in this much of a form: webmails write it before everything else. */
const searchedBytes = 64 * 1024;

/** The target with the current token in place of an older one. */
export function renewTarget(target: string, { name, value }: PageToken): string {
  const path = pathOf(target);
  const query = target.slice(path.length);
  // A function, because `$` has a meaning in a replacement text.
  return path + query.replaceAll(new RegExp(`([?&]${name}=)[^&#]*`, 'g'), (_whole, before: string) => before + value);
}

/**
 * Replaces the token at the beginning of a form by the current one, and leaves the rest as it came. It holds at most 64
 * KiB of the body. Afterwards the upload can be read from its beginning.
 *
 * Resolves with the number of bytes by which the body has grown; undefined if the upload was broken off before.
 */
export async function renewForm(
  upload: Upload,
  contentType: string | undefined,
  token: PageToken,
): Promise<number | undefined> {
  const find = tokenFinderFor(contentType, token);
  if (find === undefined) return 0;
  // Nobody else listens meanwhile, and an error without a listener ends the process.
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

/** Resolves once more can be read, or no more will arrive. */
function moreOrEnd(upload: Upload): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = (): void => {
    upload.off('readable', done).off('close', done);
    resolve();
  };
  upload.on('readable', done).on('close', done);
  return promise;
}

/** Where the value of a token begins and ends. `further`: not in what has arrived; `none`: there is no token. */
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

/** Finds the value between `before`, at the beginning of the form or after `separator`, and `after`. */
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
