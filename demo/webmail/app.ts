import { fileURLToPath } from 'node:url';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import { addMailRoutes } from './mail-routes.ts';
import { sentence } from './pages.ts';
import { addSignInRoutes } from './sign-in-routes.ts';
import { answerNotFound, type Site, show } from './site.ts';
import { addTourRoutes } from './tour-routes.ts';

const staticFiles = fileURLToPath(new URL('../static', import.meta.url));
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'self'",
  "base-uri 'none'",
].join('; ');

/** The webmail's pages. The README of the demo lists each path with its answers, by which a gateway's driver works. */
export function createWebmailApp(site: Site): Express {
  const app = express();
  app.disable('x-powered-by');
  app.use('/static', express.static(staticFiles));
  app.use((_request, response, next) => {
    response.set({
      'Cache-Control': 'no-store',
      'Content-Security-Policy': policy,
      'Referrer-Policy': 'same-origin',
      'X-Content-Type-Options': 'nosniff',
    });
    next();
  });
  app.get('/', (_request, response) => response.redirect(303, '/mail/INBOX'));
  addSignInRoutes(app, site);
  addMailRoutes(app, site);
  addTourRoutes(app, site);
  app.use((request, response) => answerNotFound(site, request, response));
  app.use((error: unknown, request: Request, response: Response, _next: NextFunction) => {
    if (response.headersSent) return response.destroy();
    response.status(statusOf(error));
    const session = site.sessions.find(request.headers.cookie);
    return show(site, request, response, session, sentence('Not now', 'This could not be done. Please try again.'));
  });
  return app;
}

/** The status of an error. Body parsers give a status of the 4xx class; all others mean that the mail server failed. */
function statusOf(error: unknown): number {
  const named = error instanceof Error && 'status' in error ? error.status : undefined;
  return typeof named === 'number' && named >= 400 && named < 500 ? named : 503;
}
