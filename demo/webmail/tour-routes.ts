import express, { type Express, type Request } from 'express';
import { streamEvents } from './live.ts';
import { countInbox, withMailbox } from './mail-client.ts';
import { arrivedPage } from './pages.ts';
import { forForms, forVisitors, type Site, show } from './site.ts';

/** Pages for demonstration: the request as it arrived, a lost session, a poll and an event stream. */
export function addTourRoutes(app: Express, site: Site): void {
  app.get(
    '/arrived',
    forVisitors(site, (request, response, { session }) => {
      show(site, request, response, session, arrivedPage(session.formToken, fieldsOf(request)));
    }),
  );
  app.post(
    '/expire',
    express.urlencoded({ extended: false, limit: '8kb' }),
    forForms(site, (_request, response, { session }) => {
      site.sessions.end(session); // the cookie stays in its jar, as after a restart
      response.redirect(303, '/arrived');
    }),
  );
  app.get(
    '/api/poll',
    forVisitors(site, async (_request, response, { key }) => {
      response.json({ backend: site.name, ...(await withMailbox(site.imap, key, countInbox)) });
    }),
  );
  app.get(
    '/api/events',
    forVisitors(site, (_request, response, { session }) => {
      streamEvents(response, site, session);
    }),
  );
}

/** Name and value of each field as received. Values of cookies are cut, so that no page shows a session's secret. */
function fieldsOf(request: Request): readonly (readonly [string, string])[] {
  const fields: (readonly [string, string])[] = [];
  for (let at = 0; at + 1 < request.rawHeaders.length; at += 2) {
    const [name = '', value = ''] = request.rawHeaders.slice(at, at + 2);
    fields.push([name, name.toLowerCase() === 'cookie' ? value.replace(/=([^;]{6})[^;]+/g, '=$1…') : value]);
  }
  return fields;
}
