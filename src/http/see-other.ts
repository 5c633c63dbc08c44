import type { Response } from 'express';

/** Leads the browser on after a form. */
export function seeOther(response: Response, location: string): void {
  response.statusCode = 303;
  response.setHeader('Location', location);
  response.end();
}
