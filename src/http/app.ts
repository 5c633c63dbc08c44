import type { IncomingMessage, ServerResponse } from 'node:http';
import express, { type Express, type RequestHandler } from 'express';
import helmet from 'helmet';
import type { Ingress } from '../core/http.ts';
import { createErrorPage, createNotFound, type ErrorPageDeps } from './error-pages.ts';
import { ingressOf, setIngress } from './request-context.ts';

/** Answers requests for pages of our own: it never leaves one without an answer. */
export type Pages = (request: IncomingMessage, response: ServerResponse, ingress: Ingress) => void;

/**
 * An Express app of the gateway's own pages: headers and assets before `addRoutes`, what nothing took and errors
 * behind.
 */
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

/** Allows nothing inline, nothing from elsewhere, and no framing. */
const contentSecurityPolicy = {
  'default-src': ["'none'"],
  'script-src': ["'self'"],
  'style-src': ["'self'"],
  'img-src': ["'self'"],
  'form-action': ["'self'"],
  'base-uri': ["'none'"],
  'frame-ancestors': ["'none'"],
};

/**
 * Puts the security fields on every answer of our own pages.
 *
 * `same-origin` and not `no-referrer`: under the latter browsers send `Origin: null` with our own forms. No
 * Cross-Origin-Opener-Policy: a webmail's compose window that is led here must find its opener again afterwards.
 */
function createSecurityHeaders(): RequestHandler {
  const fields = helmet({
    contentSecurityPolicy: { useDefaults: false, directives: contentSecurityPolicy },
    crossOriginEmbedderPolicy: false,
    crossOriginOpenerPolicy: false,
    crossOriginResourcePolicy: { policy: 'same-origin' },
    originAgentCluster: false,
    referrerPolicy: { policy: 'same-origin' },
    strictTransportSecurity: false,
    xDnsPrefetchControl: false,
    xDownloadOptions: false,
    xFrameOptions: { action: 'deny' },
    xPermittedCrossDomainPolicies: false,
    xXssProtection: false,
  });
  return (request, response, next) => {
    response.setHeader('Cache-Control', 'no-store');
    // RFC 6797, 7.2: never over plain HTTP. Other hosts of the domain are not ours to decide about.
    if (ingressOf(request).publicUrl.secure) response.setHeader('Strict-Transport-Security', 'max-age=31536000');
    fields(request, response, next);
  };
}

/** The same fields for an answer that the data plane sends. `framedBy` names who may frame it. */
export function answerSecurityHeaders(framedBy: "'none'" | "'self'"): [name: string, value: string][] {
  const policy = { ...contentSecurityPolicy, 'frame-ancestors': [framedBy] };
  const directives = Object.entries(policy).map(([name, values]) => `${name} ${values.join(' ')}`);
  return [
    ['Content-Security-Policy', directives.join(';')],
    ['X-Content-Type-Options', 'nosniff'],
    ['X-Frame-Options', framedBy === "'self'" ? 'SAMEORIGIN' : 'DENY'],
    ['Referrer-Policy', 'same-origin'],
    ['Cache-Control', 'no-store'],
  ];
}
