import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import type { RequestHandler } from 'express';

/** A file that is made at start instead of read. */
export interface MadeAsset {
  readonly name: string;
  readonly contentType: string;
  readonly body: Uint8Array;
}

/** Files under one prefix, kept in memory. */
export interface Assets {
  /** The address of a file, with its version. Throws a TypeError for a name that there is not. */
  url(name: string): string;
  readonly serve: RequestHandler;
}

const contentTypes: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};
/** An SVG that is opened by itself is a document on our origin: it may show, not act. */
const inertPolicy = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/** Reads a folder of files with a known ending, and adds those that were made. */
export function readAssets(folder: URL, made: readonly MadeAsset[], prefix = '/-/static/'): Assets {
  const files = readdirSync(folder).flatMap((name): MadeAsset[] => {
    const contentType = contentTypes[extname(name)];
    return contentType === undefined ? [] : [{ name, contentType, body: readFileSync(new URL(name, folder)) }];
  });
  const byName = new Map(
    [...files, ...made].map((file) => {
      const version = createHash('sha256').update(file.body).digest('base64url').slice(0, 12);
      return [file.name, { ...file, version }];
    }),
  );

  return {
    url(name) {
      const file = byName.get(name);
      if (file === undefined) throw new TypeError(`there is no static file ${name}`);
      return `${prefix}${name}?v=${file.version}`;
    },
    serve(request, response, next) {
      const file = request.path.startsWith(prefix) ? byName.get(request.path.slice(prefix.length)) : undefined;
      if (file === undefined || (request.method !== 'GET' && request.method !== 'HEAD')) {
        next();
        return;
      }
      // During an upgrade a page of one node asks another for its files: only what was asked for may be kept for good.
      const isAsked = request.url.endsWith(`?v=${file.version}`);
      response.setHeader('Cache-Control', isAsked ? 'public, max-age=31536000, immutable' : 'no-cache');
      response.setHeader('ETag', `"${file.version}"`);
      if (file.contentType.startsWith('image/')) response.setHeader('Content-Security-Policy', inertPolicy);
      if (request.headers['if-none-match']?.includes(`"${file.version}"`) === true) {
        response.status(304).end();
        return;
      }
      response.setHeader('Content-Type', file.contentType);
      response.setHeader('Content-Length', file.body.length);
      response.end(request.method === 'HEAD' ? undefined : file.body);
    },
  };
}
