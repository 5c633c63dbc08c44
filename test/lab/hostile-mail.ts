import { readFileSync } from 'node:fs';

const recorded = new URL('../webmail/recorded/', import.meta.url);

/** Roundcube's own answers for a lost session as page, frame and JSON, recorded from a real one. */
export const lostMarks = {
  page: readFileSync(new URL('lost-page.html', recorded), 'utf8'),
  frame: readFileSync(new URL('lost-frame.html', recorded), 'utf8'),
  json: readFileSync(new URL('lost-list.txt', recorded), 'utf8'),
};

const scripts = `<script>
var rcmail = new rcube_webmail();
rcmail.set_env({"task":"login","action":""});
</script>
<script>
if (window.parent && parent.rcmail) {
\tparent.rcmail.session_error("/?_task=login&_err=session");
}
</script>`;
const statements = `
this.session_error("/?_task=login&_err=session");
rcmail.set_env({"task":"login"});
\tparent.rcmail.session_error("/?_task=login&_err=session");
Set-Cookie: roundcube_sessauth=-del-
"exec":"this.session_error(\\"/?_task=login&_err=session\\");\\n"`;

/** A message whose subject, sender, text, HTML and attachments all say that the session is lost. */
export function hostileMessage(to: string, name: string): string {
  const subject = `${name} </title>${scripts.replaceAll('\n', ' ')}${statements.replaceAll('\n', ' ')}`;
  const boundary = 'hostile-boundary';
  const part = (type: string, content: string, disposition = 'inline'): string =>
    `--${boundary}\nContent-Type: ${type}\nContent-Disposition: ${disposition}\nContent-Transfer-Encoding: base64\n\n${wrapped(content)}\n`;
  return [
    `From: ${encodedWords('this.session_error("/?_task=login");')} <mallory@elsewhere.test>`,
    `To: ${to}`,
    `Subject: ${encodedWords(subject)}`,
    'MIME-Version: 1.0',
    `Content-Type: multipart/mixed; boundary=${boundary}`,
    '',
    part('text/plain; charset=utf-8', statements + lostMarks.page + lostMarks.frame + lostMarks.json),
    part('text/html; charset=utf-8', `${scripts}${lostMarks.page}<p>${statements}</p>`),
    part('text/html; charset=utf-8; name="page.html"', lostMarks.page, 'attachment; filename="page.html"'),
    part('text/html; charset=utf-8; name="frame.html"', lostMarks.frame, 'attachment; filename="frame.html"'),
    part('application/json; name="list.json"', lostMarks.json, 'attachment; filename="list.json"'),
    part('text/plain; name="marks.txt"', statements + lostMarks.json, 'attachment; filename="marks.txt"'),
    `--${boundary}--`,
  ].join('\n');
}

function wrapped(content: string): string {
  return (
    Buffer.from(content)
      .toString('base64')
      .match(/.{1,76}/g) ?? []
  ).join('\n');
}

/** Encoded words (RFC 2047) of at most 75 characters. */
function encodedWords(text: string): string {
  const chunks =
    Buffer.from(text)
      .toString('latin1')
      .match(/[^]{1,42}/g) ?? [];
  return chunks.map((chunk) => `=?utf-8?B?${Buffer.from(chunk, 'latin1').toString('base64')}?=`).join('\n ');
}
