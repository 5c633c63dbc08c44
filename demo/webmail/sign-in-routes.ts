import express, { type Express, type Request, type Response } from 'express';
import { countInbox, keyOf, MailboxRefused, withMailbox } from './mail-client.ts';
import { loginForm } from './pages.ts';
import { isTokenOf, type MailSession } from './sessions.ts';
import { clientAddressOf, fieldOf, forForms, type Site, show } from './site.ts';

/** `/login` and `/logout`: the webmail's own sign-in, which the gateway performs for the user. */
export function addSignInRoutes(app: Express, site: Site): void {
  const { sessions } = site;
  const form = express.urlencoded({ extended: false, limit: '8kb' });

  app.get('/login', (request, response) => {
    const session = sessions.find(request.headers.cookie);
    if (session?.user === undefined) showForm(site, request, response, session, undefined);
    else response.redirect(303, '/mail/INBOX');
  });

  app.post('/login', form, async (request, response) => {
    const session = sessions.find(request.headers.cookie);
    if (session === undefined || !isTokenOf(session, fieldOf(request, 'token'))) {
      response.status(403);
      return showForm(site, request, response, session, 'This form has expired. Please sign in again.');
    }
    const [user, password] = [fieldOf(request, 'user').toLowerCase(), fieldOf(request, 'password')];
    if (!(await isPassword(site, request, user, password))) {
      response.status(401);
      return showForm(site, request, response, session, 'Wrong user name or password.');
    }
    response.append('Set-Cookie', sessions.signIn(session, user, password));
    return response.redirect(303, '/mail/INBOX');
  });

  app.post(
    '/logout',
    form,
    forForms(site, (_request, response, { session }) => {
      response.append('Set-Cookie', sessions.end(session));
      response.redirect(303, '/login');
    }),
  );
}

function showForm(
  site: Site,
  request: Request,
  response: Response,
  known: MailSession | undefined,
  problem: string | undefined,
): void {
  let session = known;
  if (session === undefined) {
    const begun = site.sessions.begin();
    response.append('Set-Cookie', begun.setCookie);
    session = begun.session;
  }
  show(site, request, response, undefined, loginForm(session.formToken, fieldOf(request, 'user'), problem));
}

/** Whether the mail server accepts the password. Rejects if it could not be asked. */
async function isPassword(site: Site, request: Request, user: string, password: string): Promise<boolean> {
  if (user === '' || password === '') return false;
  try {
    await withMailbox(site.imap, { ...keyOf(user, password), clientAddress: clientAddressOf(request) }, countInbox);
    return true;
  } catch (error) {
    if (error instanceof MailboxRefused) return false;
    throw error;
  }
}
