import type { RequestHandler } from 'express';
import type { Views } from './views.ts';

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
