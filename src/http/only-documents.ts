import type { RequestHandler } from 'express';

/**
 * Lets only the browser's own tab open our pages and send their forms, where the browser says what a request is for: a
 * script of a webmail's page, which shares our origin, could else read the sign-in page and fill it in. Frames are
 * refused here, too: none of our pages may be framed.
 */
export function createOnlyDocuments(): RequestHandler {
  return (request, response, next) => {
    const destination = request.headers['sec-fetch-dest'];
    if (destination === undefined || destination === 'document') return next();
    response.vary('Sec-Fetch-Dest').status(403).type('text');
    response.end('Only a page that somebody opens may ask for that.\n');
  };
}
