import type { IncomingMessage, ServerResponse } from 'node:http';
import express, { type Express } from 'express';
import type { Ingress } from '../core/http.ts';
import { createErrorPage, type ErrorPageDeps } from './error-page.ts';
import { setIngress } from './ingress-of.ts';
import { createNotFound } from './not-found.ts';
import { createSecurityHeaders } from './security-headers.ts';

/** Answers requests for pages of our own: it never leaves one without an answer. */
export type Pages = (request: IncomingMessage, response: ServerResponse, ingress: Ingress) => void;

/** An Express app of the gateway's own pages: headers and assets before `addRoutes`, what nothing took and errors behind. */
export function createOwnApp(deps: ErrorPageDeps, addRoutes: (app: Express) => void): Pages {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.enable('case sensitive routing');
  app.enable('strict routing');
  // Every parameter is read by name and once; nothing builds objects of what a client sent.
  app.set('query parser', false);

  app.use(createSecurityHeaders());
  app.use(deps.views.assets.serve);
  addRoutes(app);
  app.use(createNotFound(deps.views));
  app.use(createErrorPage(deps));

  return (request, response, ingress) => {
    setIngress(request, ingress);
    app(request, response);
  };
}
