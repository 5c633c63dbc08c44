import { pathOf } from '../core/cookie-jar.ts';
import type { Answer, RequestHead } from '../core/http.ts';
import { textsFor } from './driver-settings.ts';

const texts = {
  en: {
    ended: 'Your session has ended. What you have written is still here: sign in again in a new tab, then repeat.',
    signIn: 'Sign in',
    retry: 'Nothing was done: the webmail had to be opened anew. What you have written is still here: please repeat.',
  },
  de: {
    ended:
      'Ihre Sitzung ist beendet. Was Sie geschrieben haben, ist noch da: Melden Sie sich in einem neuen Tab an und wiederholen Sie dann.',
    signIn: 'Anmelden',
    retry:
      'Es wurde nichts ausgeführt: Der Webmailer musste neu geöffnet werden. Was Sie geschrieben haben, ist noch da: Bitte wiederholen Sie.',
  },
} as const;

/**
 * The answer that SOGo's script shows as a failure without leaving the page; undefined for other requests.
 *
 * SOGo's own answer to a lost session is its sign-in page, and its script leaves the page for it without asking: a
 * message in the editor would be gone. For a status of failure it shows the `message` of the JSON and keeps everything.
 */
export function lostAnswer(request: RequestHead, loginPath: string): Answer | undefined {
  if (!isScriptRequest(request)) return undefined;
  const text = textsFor(request, texts);
  // The note at the edge of the page takes HTML; the editor shows plain text, and needs no link: it stays open.
  const link = `<a href="${escapeHtml(loginPath)}" target="_blank" style="color:inherit;margin-left:8px">${text.signIn}</a>`;
  return failure(401, isSending(request) ? text.ended : `${text.ended} ${link}`);
}

/** The answer that SOGo's script shows when the user was signed in again but the request could not be repeated. */
export function retryAnswer(request: RequestHead): Answer | undefined {
  return isScriptRequest(request) ? failure(409, textsFor(request, texts).retry) : undefined;
}

/** SOGo's script asks for JSON wherever it does not load a template; DAV clients never do. */
function isScriptRequest(request: RequestHead): boolean {
  const path = pathOf(request.target);
  if (!path.startsWith('/SOGo/') || path.startsWith('/SOGo/dav/')) return false;
  return /\bapplication\/json\b/i.test(request.header('accept') ?? '');
}

function isSending(request: RequestHead): boolean {
  return request.method === 'POST' && pathOf(request.target).endsWith('/send');
}

function failure(status: number, message: string): Answer {
  return {
    status,
    headers: [
      ['Content-Type', 'application/json; charset=utf-8'],
      ['Cache-Control', 'no-store'],
      ['X-Content-Type-Options', 'nosniff'],
    ],
    body: `${JSON.stringify({ message })}\n`,
  };
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"'{}]/g, (character) => `&#${character.charCodeAt(0)};`);
}
