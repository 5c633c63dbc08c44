import type { ErrorRequestHandler, RequestHandler } from 'express';
import type { Log } from '../core/log.ts';
import { newReference } from './request-context.ts';
import type { Views } from './views.ts';

/** Dependencies of the error pages. */
export interface ErrorPageDeps {
  readonly views: Views;
  readonly log: Log;
  readonly randomBytes: (size: number) => Uint8Array;
}

/**
 * Answers every error of our own pages, and always: Express's own handler would wait for the end of the body first.
 * What a client did wrong is answered with its status; anything else is a fault of ours, logged under a reference.
 */
export function createErrorPage({ views, log, randomBytes }: ErrorPageDeps): ErrorRequestHandler {
  return (error: unknown, request, response, _next) => {
    const status = clientStatus(error);
    const reference = newReference(randomBytes);
    if (status === 500) log.error('page-failed', { err: error, reference, path: request.path });
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
    response.end(views.render('message', { locale, title }, status === 500 ? { text, reference } : { text }));
  };
}

function clientStatus(error: unknown): number {
  const status: unknown = typeof error === 'object' && error !== null && 'status' in error ? error.status : undefined;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : 500;
}

/** Answers what no route took. Express's own answer would wait for the end of a body that may never come. */
export function createNotFound(views: Views): RequestHandler {
  return (request, response) => {
    const locale = views.locales.choose(undefined, request.headers['accept-language']);
    const link = { href: '/', label: locale.text('notFound.link') };
    const frame = { locale, title: locale.text('notFound.title') };
    response.status(404).type('html');
    response.end(views.render('message', frame, { text: locale.text('notFound.text'), link }));
  };
}

/** Answers a method that a page does not have. */
export function createMethodNotAllowed(allowed: string): RequestHandler {
  return (_request, response) => {
    response.status(405).setHeader('Allow', allowed);
    response.end();
  };
}
