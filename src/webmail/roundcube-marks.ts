import type { RequestHead, UpstreamResponseHead } from '../core/http.ts';
import { parseJson } from '../core/json.ts';
import type { Verdict } from '../core/webmail.ts';
import { readQuery, sendsMessage } from './roundcube-requests.ts';

/*
 * Roundcube answers a lost session with status 200 and no field that says so. What its body says must be read so that
 * nothing a mail holds can say it as well: only what Roundcube itself writes outside of any string counts.
 *  - Page: the first `rcmail.set_env({"task":` stands in the head, before any content; a title has no raw quotes.
 *  - Frame: the first script; its arguments are JSON without `<` and without line breaks, so no mail begins a line.
 *  - JSON: the last statement of `exec`; the same holds for its arguments.
 *  - Attachments shown inline are cleaned of scripts, and a page's mark stands in a script.
 */

const lostPage = 'rcmail.set_env({"task":';
const lostStatement = /(?:^|\n)this\.session_error\("(?:[^"\\]|\\.)*"\);\n?$/;
const frameScript = /^\s*if \(window\.parent && parent\.rcmail\) \{\n/;
const frameStatement = /^\tparent\.rcmail\.session_error\("/m;

/**
 * The action that sends a file as it is, with the type that its sender gave it: its body can hold anything. What
 * Roundcube adds to it, and never to its sign-in page, tells it apart.
 */
const rawFileAction = 'display-attachment';
const rawFileFields = ['content-security-policy', 'x-dns-prefetch-control', 'referrer-policy'];

/** The verdict that the heads allow; `look-inside` where only the body can tell. */
export function judgeHeads(request: RequestHead, response: UpstreamResponseHead): Verdict | 'look-inside' {
  const query = readQuery(request.target);
  // The sign-in form itself: its answers begin with the removal of the old cookie.
  if (query.task === 'login') return 'alive';
  if (removesSession(response.setCookies)) return query.task === 'logout' ? 'signed-out' : 'lost';
  // A letter from a page that is too old is refused with 200 by Roundcube 1.6, and with 403 by 1.7.
  const isAnswer = response.status === 200 || (response.status === 403 && sendsMessage(request));
  if (!isAnswer || response.header('content-disposition') !== undefined) return 'alive';
  if (!/^(?:text\/html|application\/json)\b/i.test(response.header('content-type') ?? '')) return 'alive';
  if (query.action === rawFileAction && rawFileFields.some((name) => response.header(name) !== undefined))
    return 'alive';
  return 'look-inside';
}

/**
 * Roundcube removes its second cookie, whatever it is named, by this value; a renewal in the same answer comes later.
 */
function removesSession(setCookies: readonly string[]): boolean {
  const last = new Map<string, string>();
  for (const line of setCookies) {
    const [name = '', value = ''] = (line.split(';', 1)[0] ?? '').split('=', 2);
    last.set(name.trim(), value.trim());
  }
  return [...last.values()].includes('-del-');
}

/** The verdict that the first bytes of a body allow. */
export function judgeText(text: string, complete: boolean): Verdict {
  const body = text.trimStart();
  if (body.startsWith('{')) return complete && isLostJson(body) ? 'lost' : 'alive';
  return isLostPage(body) || (complete && isLostFrame(body)) ? 'lost' : 'alive';
}

/**
 * Whether a form of a page was refused, with a whole page of Roundcube's ("REQUEST CHECK FAILED") in the place of the
 * few lines of script that its frame gets else. No mail has a part in the head of either.
 */
export function isRefusedForm(html: string): boolean {
  return html.includes('\nvar rcmail = new rcube_webmail();\n');
}

function isLostPage(html: string): boolean {
  const at = html.indexOf(lostPage);
  if (at === -1 || !html.startsWith('"login"', at + lostPage.length)) return false;
  return html.lastIndexOf('<script', at) > html.lastIndexOf('</script', at);
}

function isLostFrame(html: string): boolean {
  const script = /<script>([^<]*)<\/script>/.exec(html)?.[1] ?? '';
  return frameScript.test(script) && frameStatement.test(script);
}

function isLostJson(text: string): boolean {
  const answer = parseJson(text);
  if (typeof answer !== 'object' || answer === null || !('exec' in answer)) return false;
  return typeof answer.exec === 'string' && lostStatement.test(answer.exec);
}
