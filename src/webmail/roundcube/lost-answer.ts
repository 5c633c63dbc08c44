import { pathOf } from '../../core/cookie-jar.ts';
import type { Answer, RequestHead } from '../../core/http.ts';
import { textsFor } from '../driver-settings.ts';
import {
  askingPage,
  isFrameRequest,
  isScriptRequest,
  isWriting,
  type RoundcubeQuery,
  roundcubeQuery,
} from './pages.ts';

const roundcubeTexts = {
  en: {
    ended: 'Your session has ended.',
    signIn: 'Sign in again',
    kept: 'What you have written is kept in this browser:',
    restore: 'and restore your message',
    anew: 'The webmail had to be opened again.',
    restoreNow: 'Restore your message',
    notSaved: 'Nothing of what you sent was saved:',
    formAgain: 'fill in the form again',
  },
  de: {
    ended: 'Ihre Sitzung ist beendet.',
    signIn: 'Neu anmelden',
    kept: 'Was Sie geschrieben haben, ist in diesem Browser aufgehoben:',
    restore: 'und die Nachricht wiederherstellen',
    anew: 'Der Webmailer musste neu geöffnet werden.',
    restoreNow: 'Nachricht wiederherstellen',
    notSaved: 'Was Sie abgeschickt haben, wurde nicht gespeichert:',
    formAgain: 'Formular noch einmal ausfüllen',
  },
} as const;

/**
 * Roundcube's own answer to its script or frame for a lost session, with `loginPath` as the target; undefined for other
 * requests.
 *
 * Roundcube's `session_error` takes the page to the target after two seconds. On the compose page it does not: it keeps
 * the message in the browser, so the text, which Roundcube shows as HTML, contains a link. After sign-in the user is
 * back on the page that asked. In place of an old message it is a new one, which offers to restore the kept text.
 */
export function lostAnswer(request: RequestHead, loginPath: string): Answer | undefined {
  const page = askingPage(request);
  const target = page === undefined ? loginPath : withNext(loginPath, resumeTarget(page));
  const text = textsFor(request, roundcubeTexts);
  const message = isWriting(page)
    ? `${text.ended} ${text.kept} ${link(target, `${text.signIn} ${text.restore}`)}`
    : `${text.ended} ${link(target, text.signIn)}`;
  return sessionError(request, message, target);
}

/**
 * The answer to a request that could not be repeated after the user was signed in again; undefined for other requests.
 *
 * To the script of the compose page: the fresh Roundcube session does not know the message, so the page can never send
 * it. The script keeps the message in the browser, and the link leads to a new message that offers to restore it.
 *
 * To a form that fills the tab, such as the one for the password: Roundcube would answer with its own sign-in form.
 */
export function retryAnswer(request: RequestHead): Answer | undefined {
  const page = askingPage(request);
  if (page === undefined) return undefined;
  const text = textsFor(request, roundcubeTexts);
  if (request.method === 'POST' && request.header('sec-fetch-dest') === 'document') {
    const paragraph = `${text.anew} ${text.notSaved} ${link(resumeTarget(page), text.formAgain)}`;
    return htmlAnswer(text.anew, `</head>\n<body><p role="alert">${paragraph}</p></body>`);
  }
  if (!isWriting(page)) return undefined;
  const target = resumeTarget(page);
  return sessionError(request, `${text.anew} ${text.kept} ${link(target, text.restoreNow)}`, target);
}

function sessionError(request: RequestHead, message: string, target: string): Answer | undefined {
  if (request.method !== 'GET' && request.method !== 'POST') return undefined;
  // A tab is redirected to the sign-in page; this answer is for scripts and frames.
  if (request.header('sec-fetch-dest') === 'document') return undefined;
  const query = roundcubeQuery(request.target);
  if (isScriptRequest(request, query)) return scriptAnswer(query, message, target);
  return isFrameRequest(request, query) ? frameAnswer(query, message, target) : undefined;
}

/**
 * The target at which a navigation goes on in a fresh Roundcube session. Only the old session knows the message that
 * was being written ("compose session error"), and a sign-out link carries the old token.
 */
export function resumeTarget(target: string): string {
  const { task, action } = roundcubeQuery(target);
  const path = pathOf(target);
  if (task === 'logout' || task === 'login') return path;
  return task === 'mail' && action === 'compose' && roundcubeQuery(target).has('_id')
    ? `${path}?_task=mail&_action=compose`
    : target;
}

function withNext(loginPath: string, next: string): string {
  const path = pathOf(loginPath);
  const query = new URLSearchParams(loginPath.slice(path.length));
  query.set('next', next);
  return `${path}?${query.toString()}`;
}

function link(target: string, label: string): string {
  return `<a href="${target.replaceAll('&', '&amp;').replaceAll('"', '%22')}">${label}</a>`;
}

function scriptAnswer(query: RoundcubeQuery, message: string, target: string): Answer {
  const exec = `this.display_message(${JSON.stringify(message)},"error",-1000);\nthis.session_error(${JSON.stringify(target)});\n`;
  const unlock = query.has('_unlock') ? { unlock: lockId(query) } : {};
  return okAnswer('application/json; charset=UTF-8', JSON.stringify({ action: query.action, ...unlock, exec }));
}

/** The answer to a frame. Without the generator the page around it would report a connection error, too. */
function frameAnswer(query: RoundcubeQuery, message: string, target: string): Answer {
  const lock = query.has('_unlock') ? scriptString(lockId(query)) : '0';
  return htmlAnswer(
    '',
    `<meta name="generator" content="Roundcube">
<script>
if (window.parent && parent.rcmail) {
\tparent.rcmail.iframe_loaded(${lock});
\tparent.rcmail.display_message(${scriptString(message)},"error",-1000);
\tparent.rcmail.session_error(${scriptString(target)});
}
</script>
</head>
<body></body>`,
  );
}

/** A whole page. */
export function pageAnswer(page: string): Answer {
  return okAnswer('text/html; charset=UTF-8', page);
}

function htmlAnswer(title: string, rest: string): Answer {
  return pageAnswer(
    `<!DOCTYPE html>
<html>
<head>
<meta http-equiv="content-type" content="text/html; charset=UTF-8"><title>${title}</title>
${rest}
</html>
`,
  );
}

/** The id of the "Sending…" message that the page shows until the answer comes. */
function lockId(query: RoundcubeQuery): string {
  return query.get('_unlock').replace(/[^a-z0-9]/gi, '');
}

/** A JavaScript string that cannot end the script element around it. */
function scriptString(text: string): string {
  return JSON.stringify(text).replaceAll('<', '\\u003C').replaceAll('>', '\\u003E');
}

function okAnswer(contentType: string, body: string): Answer {
  return {
    status: 200,
    headers: [
      ['Content-Type', contentType],
      ['Cache-Control', 'no-store'],
      ['X-Frame-Options', 'sameorigin'],
      ['X-Content-Type-Options', 'nosniff'],
    ],
    body,
  };
}
