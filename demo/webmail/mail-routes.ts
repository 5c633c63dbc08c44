import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import express, { type Express, type Request, type Response } from 'express';
import { sendDraft } from './compose.ts';
import { listMessages, openMessage, readPart, withMailbox } from './mail-client.ts';
import { composeForm, messageList, messageView } from './pages.ts';
import { answerNotFound, forVisitors, queryOf, type Site, show } from './site.ts';

/** `/mail/…` to read and `/compose` to write. */
export function addMailRoutes(app: Express, site: Site): void {
  app.get(
    '/mail/:folder',
    forVisitors(site, async (request, response, { session, key }) => {
      const folder = folderIn(request);
      if (folder === undefined) return answerNotFound(site, request, response);
      const messages = await withMailbox(site.imap, key, (client) => listMessages(client, folder));
      const notice = queryOf(request, 'sent') === '' ? undefined : 'Your message is on its way.';
      show(site, request, response, session, messageList(folder, messages, notice));
    }),
  );

  app.get(
    '/mail/:folder/:uid',
    forVisitors(site, async (request, response, { session, key }) => {
      const [folder, uid] = [folderIn(request), uidIn(request)];
      if (folder === undefined || uid === undefined) return answerNotFound(site, request, response);
      const message = await withMailbox(site.imap, key, (client) => openMessage(client, folder, uid));
      if (message === undefined) return answerNotFound(site, request, response);
      show(site, request, response, session, messageView(folder, message));
    }),
  );

  app.get(
    '/mail/:folder/:uid/part/:part',
    forVisitors(site, async (request, response, { key }) => {
      const [folder, uid, part] = [
        folderIn(request),
        uidIn(request),
        parameter(request, 'part', /^\d{1,3}(?:\.\d{1,3}){0,9}$/),
      ];
      if (folder === undefined || uid === undefined || part === undefined)
        return answerNotFound(site, request, response);
      const found = await withMailbox(site.imap, key, (client) =>
        readPart(client, { folder, uid, part }, (filename, content) => sendFile(response, filename, content)),
      );
      if (!found) answerNotFound(site, request, response);
    }),
  );

  app.get(
    '/compose',
    forVisitors(site, (request, response, { session }) => {
      const draft = { to: queryOf(request, 'to'), subject: queryOf(request, 'subject'), text: '' };
      show(site, request, response, session, composeForm(session.formToken, draft, undefined));
    }),
  );

  // The page takes the token of the present session before it sends: a draft may be older than the session.
  app.get(
    '/api/token',
    forVisitors(site, (_request, response, { session }) => void response.json({ token: session.formToken })),
  );

  const upload = express.raw({ type: 'multipart/form-data', limit: '64mb' });
  app.post(
    '/compose',
    upload,
    forVisitors(site, async (request, response, visitor) => {
      const outcome = await sendDraft(site, request, visitor);
      if (outcome.kind === 'sent') return response.redirect(303, '/mail/INBOX?sent=1');
      response.status(outcome.kind === 'stale' ? 403 : 422);
      show(
        site,
        request,
        response,
        visitor.session,
        composeForm(visitor.session.formToken, outcome.draft, outcome.problem),
      );
    }),
  );
}

async function sendFile(response: Response, filename: string, content: Readable): Promise<void> {
  response.attachment(filename).type('application/octet-stream'); // never shown, whatever the sender called it
  await pipeline(content, response);
}

function folderIn(request: Request): string | undefined {
  return parameter(request, 'folder', /^(?:INBOX|Sent)$/);
}

function uidIn(request: Request): number | undefined {
  const text = parameter(request, 'uid', /^\d{1,9}$/);
  return text === undefined ? undefined : Number(text);
}

function parameter(request: Request, name: string, form: RegExp): string | undefined {
  const value = request.params[name];
  return typeof value === 'string' && form.test(value) ? value : undefined;
}
