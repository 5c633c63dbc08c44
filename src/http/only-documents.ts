import type { RequestHandler } from 'express';

/**
 * Lets only the browser's own tab open our pages and send their forms, where the browser says what a request is for: a
 * script of a webmail's page, which shares our origin, could else read the sign-in page and fill it in. Frames are
 * refused here, too: none of our pages may be framed.
 *
 * A service worker that a webmail left in a browser before there was a gateway repeats what a tab asks for with the mode
 * `navigate`, which no script can make, and for `empty`: it must lock nobody out.
 */
export function createOnlyDocuments(): RequestHandler {
  return (request, response, next) => {
    const { 'sec-fetch-dest': destination, 'sec-fetch-mode': mode } = request.headers;
    if (destination === undefined || destination === 'document') return next();
    if (destination === 'empty' && mode === 'navigate') return next();
    response.vary('Sec-Fetch-Dest, Sec-Fetch-Mode').status(403).type('text');
    response.end('This address works only as a page that somebody opens.\n');
  };
}
