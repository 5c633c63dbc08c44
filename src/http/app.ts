import type { IncomingMessage, ServerResponse } from 'node:http';
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import helmet from 'helmet';
import type { Ingress } from '../core/http.ts';
import type { Log } from '../core/log.ts';
import { requestIdsOf } from '../core/names.ts';
import { ingressOf, setIngress } from './request-context.ts';
import type { Locale } from './locales.ts';
import type { Views } from './views.ts';

/** Answers requests for the gateway's own pages; it answers every one. */
export type Pages = (request: IncomingMessage, response: ServerResponse, ingress: Ingress) => void;

/**
 * Creates an Express app of the gateway's own pages: security fields and assets first, then `addRoutes`, then not-found
 * and error pages.
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
  app.use(createNotFound(deps));
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

/**
 * Accepts requests of the browser's own tabs only, if the browser says what a request is for. Otherwise a script of the
 * webmail, which shares our origin, could read the sign-in page and fill it in. Frames are refused too: none of our
 * pages may be framed.
 *
 * A service worker that a webmail installed before there was a gateway repeats the requests of a tab with the mode
 * `navigate`, which no script can make, and the destination `empty`. It must lock no user out.
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

/** A page that reports a problem. */
export interface ProblemPage {
  readonly locale: Locale;
  readonly title: string;
  readonly text: string;
  readonly reference?: string;
  readonly link?: { readonly href: string; readonly label: string };
}

/** Dependencies of the error pages. */
export interface ErrorPageDeps {
  /** How this app shows a problem, if not as the pages for users do. */
  readonly renderProblem?: (page: ProblemPage) => string;
  readonly views: Views;
  readonly log: Log;
  readonly randomBytes: (size: number) => Uint8Array;
}

/**
 * Answers every error of our own pages: Express's own handler would wait for the end of the body first. A client's
 * error is answered with its status; any other is a fault of the gateway, logged under a reference.
 */
function createErrorPage({ views, log, renderProblem = renderForUsers(views) }: ErrorPageDeps): ErrorRequestHandler {
  return (error: unknown, request, response, _next) => {
    const status = clientStatus(error);
    const ids = requestIdsOf(ingressOf(request));
    if (status === 500) log.error('page-failed', { err: error, ...ids, path: request.path });
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const locale = views.locales.choose(undefined, request.headers['accept-language']);
    const [title, text] =
      status === 500
        ? [locale.text('failure.internal.title'), locale.text('failure.internal.text')]
        : [locale.text('badRequest.title'), locale.text('badRequest.text')];
    // The rest of a body that was refused must not be read as the next request.
    response.status(status).type('html').setHeader('Connection', 'close');
    response.end(renderProblem({ locale, title, text, ...(status === 500 ? { reference: ids.reference } : {}) }));
  };
}

function renderForUsers(views: Views): (page: ProblemPage) => string {
  return ({ locale, title, ...values }) => views.render('message', { locale, title }, values);
}

function clientStatus(error: unknown): number {
  const status: unknown = typeof error === 'object' && error !== null && 'status' in error ? error.status : undefined;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : 500;
}

/** Answers requests that no route took: Express's own answer would wait for the end of a body that may never come. */
function createNotFound({ views, renderProblem = renderForUsers(views) }: ErrorPageDeps): RequestHandler {
  return (request, response) => {
    const locale = views.locales.choose(undefined, request.headers['accept-language']);
    const link = { href: '/', label: locale.text('notFound.link') };
    response.status(404).type('html');
    response.end(
      renderProblem({ locale, title: locale.text('notFound.title'), text: locale.text('notFound.text'), link }),
    );
  };
}

/** Answers a method that a page does not have. */
export function createMethodNotAllowed(allowed: string): RequestHandler {
  return (_request, response) => {
    response.status(405).setHeader('Allow', allowed);
    response.end();
  };
}
