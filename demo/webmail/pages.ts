import { type Html, html } from './html.ts';
import type { AttachmentSummary, MessageSummary, OpenedMessage } from './mail-client.ts';

/** The frame around the content of every page. */
export interface CommandEnvironment {
  readonly backend: string;
  readonly host: string | undefined;
  readonly user: string | undefined;
  readonly formToken: string;
  readonly density: 'roomy' | 'compact';
  /** The number of header fields of the request. */
  readonly fields: number;
}

const markup = '<!doctype html>\n';

/** A whole page: the bar with the navigation, the content, and the footer that says which backend this is. */
export function pageWith(around: CommandEnvironment, content: Html): string {
  const { backend, host, user, density } = around;
  const whole = html`<html lang="en" data-backend="${backend}" data-density="${density}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Demo mail · backend ${backend}</title>
<link rel="stylesheet" href="/static/style.css">
<link rel="icon" href="data:,">
<script src="/static/app.js" defer></script>
</head>
<body>
${user === undefined ? undefined : bar(around)}
<main>${content}</main>
<footer>
<p>Demo mail on backend <strong>${backend}</strong>${host === undefined ? undefined : html`, host <strong>${host}</strong>`}. This request arrived with ${around.fields} header fields.
${user === undefined ? undefined : html`<a href="/arrived">What arrived</a>`}</p>
</footer>
</body>
</html>`;
  return markup + whole.markup;
}

function bar({ backend, host, user, formToken }: CommandEnvironment): Html {
  return html`<header>
<a class="brand" href="/mail/INBOX">Demo mail <span class="backend">${host === undefined ? `backend ${backend}` : `host ${host}`}</span></a>
<nav aria-label="Mail">
<a href="/mail/INBOX">Inbox <span class="count" data-unseen hidden></span></a>
<a href="/mail/Sent">Sent</a>
<a href="/compose">Write</a>
<a href="/arrived">What arrived</a>
</nav>
<form method="post" action="/logout" class="account">
<input type="hidden" name="token" value="${formToken}">
<span class="user">${user}</span>
<button>Sign out</button>
</form>
</header>`;
}

/** The webmail's own sign-in form: what the gateway's form driver reads and sends for the user. */
export function loginForm(formToken: string, user: string, problem: string | undefined): Html {
  return html`<form method="post" action="/login" class="card login">
<h1>Demo mail</h1>
${problem === undefined ? undefined : html`<p class="problem" role="alert">${problem}</p>`}
<input type="hidden" name="token" value="${formToken}">
<label>User name <input name="user" value="${user}" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button class="primary">Sign in</button>
</form>`;
}

/** The messages of a folder as a list, newest first. */
export function messageList(folder: string, messages: readonly MessageSummary[], notice: string | undefined): Html {
  const other = (message: MessageSummary): string => (folder === 'Sent' ? `To ${message.to}` : message.from);
  const rows = messages.map(
    (message) => html`<li${message.seen ? undefined : html` class="unseen"`}><a href="/mail/${folder}/${message.uid}">
<span class="who">${shortName(other(message))}</span>
<span class="subject">${message.subject === '' ? '(no subject)' : message.subject}</span>
${time(message.date)}</a></li>`,
  );
  return html`<div class="heading"><h1>${folder === 'INBOX' ? 'Inbox' : folder}</h1>
<button type="button" data-density-switch hidden>Change spacing</button></div>
${notice === undefined ? undefined : html`<p class="notice" role="status">${notice}</p>`}
<p class="notice" role="status" data-new-mail hidden>New mail. <a href="/mail/INBOX">Show it</a></p>
${rows.length === 0 ? html`<p class="empty">Nothing here yet.</p>` : html`<ol class="messages">${rows}</ol>`}`;
}

/** One message with its text and attachments. */
export function messageView(folder: string, message: OpenedMessage): Html {
  const reply = new URLSearchParams({ to: message.from, subject: `Re: ${message.subject.replace(/^re:\s*/i, '')}` });
  return html`<article class="card">
<h1>${message.subject === '' ? '(no subject)' : message.subject}</h1>
<dl class="facts"><dt>From</dt><dd>${message.from}</dd><dt>To</dt><dd>${message.to}</dd>
<dt>Date</dt><dd>${time(message.date)}</dd></dl>
<pre class="text">${message.text}</pre>
${message.attachments.length === 0 ? undefined : attachmentList(folder, message)}
<p class="actions"><a class="button primary" href="/compose?${reply.toString()}">Reply</a> <a class="button" href="/mail/${folder}">Back</a></p>
</article>`;
}

function attachmentList(folder: string, message: OpenedMessage): Html {
  const link = ({ part, filename, size }: AttachmentSummary): Html =>
    html`<li><a href="/mail/${folder}/${message.uid}/part/${part}" download>${filename}</a> <small>${sizeText(size)}</small></li>`;
  return html`<h2>Attachments</h2><ul class="attachments">${message.attachments.map(link)}</ul>`;
}

export interface Draft {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

/** The form for a new message. After a problem it keeps all but the files. */
export function composeForm(formToken: string, draft: Draft, problem: string | undefined): Html {
  return html`<form method="post" action="/compose" enctype="multipart/form-data" class="card compose">
<h1>Write</h1>
${problem === undefined ? undefined : html`<p class="problem" role="alert">${problem}</p>`}
<input type="hidden" name="token" value="${formToken}">
<label>To <input name="to" value="${draft.to}" required placeholder="bob@example.test"></label>
<label>Subject <input name="subject" value="${draft.subject}"></label>
<label>Text <textarea name="text" rows="12">${draft.text}</textarea></label>
<label>Attachments <input name="files" type="file" multiple></label>
<p class="problem" role="alert" data-not-sent hidden></p>
<p class="actions"><button class="primary">Send</button> <a class="button" href="/mail/INBOX">Discard</a></p>
</form>`;
}

/** The request as it arrived behind the gateway, and ways to try what the gateway carries. */
export function arrivedPage(formToken: string, fields: readonly (readonly [string, string])[]): Html {
  const rows = fields.map(([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`);
  return html`<section class="card">
<h1>What arrived</h1>
<p>These are the header fields of this very request, as the webmail received them. Compare them with what your browser sent:
the gateway's own cookie is not among them, and the webmail's session cookie is not in your browser.</p>
<div class="scroll"><table>${rows}</table></div>
</section>
<section class="card">
<h2>Live connections</h2>
<dl class="facts live">
<dt>Poll</dt><dd data-live="poll">waiting</dd>
<dt>Event stream</dt><dd data-live="events">waiting</dd>
<dt>WebSocket</dt><dd data-live="socket">waiting</dd>
</dl>
</section>
<section class="card">
<h2>Lose this session</h2>
<p>The webmail forgets who you are, as if it had been restarted. The gateway notices at your next click and signs you in again.</p>
<form method="post" action="/expire"><input type="hidden" name="token" value="${formToken}"><button>Forget me</button></form>
</section>`;
}

/** A page with one sentence about a failure. */
export function sentence(title: string, text: string): Html {
  return html`<section class="card"><h1>${title}</h1><p>${text}</p><p class="actions"><a class="button" href="/mail/INBOX">To the inbox</a></p></section>`;
}

function time(date: Date): Html {
  const text = date.toISOString();
  return html`<time datetime="${text}">${text.slice(0, 16).replace('T', ' ')} UTC</time>`;
}

function shortName(from: string): string {
  return from.replace(/\s*<[^>]*>/g, '');
}

function sizeText(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  return bytes < 1024 * 1024 ? `${Math.round(bytes / 1024)} KB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}
