import express, { type RequestHandler } from 'express';

const maxBytes = 8 * 1024;

/** Refuses a body that is not a plain form; one that is too long is refused before it is read. */
export function createFormBody(): RequestHandler[] {
  return [
    (request, _response, next) => {
      // `false` means another type, null no body at all.
      if (request.is('application/x-www-form-urlencoded') !== false) next();
      else next(Object.assign(new Error('the body is not a form'), { status: 415 }));
    },
    express.urlencoded({ extended: false, inflate: false, limit: maxBytes, parameterLimit: 20 }),
  ];
}

/** The one value of a field, or nothing when the form has none or several. */
export function formField(body: unknown, name: string): string | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const value: unknown = Object.getOwnPropertyDescriptor(body, name)?.value;
  return typeof value === 'string' ? value : undefined;
}

/** The one value of a query parameter, or nothing when there is none or several. */
export function queryParameter(url: string, name: string): string | undefined {
  const start = url.indexOf('?');
  const values = new URLSearchParams(start === -1 ? '' : url.slice(start)).getAll(name);
  return values.length === 1 ? values[0] : undefined;
}
