import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Verdict } from '../../../src/core/webmail.ts';
import { judgeHeads, judgeText } from '../../../src/webmail/roundcube/pages.ts';
import { recorded } from '../fake-roundcube.fixture.ts';
import { answerHead, requestHead } from '../scripted-exchange.fixture.ts';

const html = { 'content-type': 'text/html; charset=UTF-8' };
const json = { 'content-type': 'application/json; charset=UTF-8' };
const removal = 'roundcube_sessauth=-del-; Max-Age=0; path=/; HttpOnly';
const renewal = 'roundcube_sessauth=new-1; path=/; HttpOnly';

const recordings: readonly (readonly [name: string, verdict: Verdict, complete: boolean])[] = [
  ['lost-page.html', 'lost', true],
  ['lost-frame.html', 'lost', true],
  ['lost-send.html', 'lost', true],
  ['lost-list.txt', 'lost', true],
  ['mailbox.html', 'alive', false],
  ['roundcube-1.7/lost-page.html', 'lost', true],
  ['roundcube-1.7/lost-frame.html', 'lost', true],
  ['roundcube-1.7/lost-send.html', 'lost', true],
  ['roundcube-1.7/lost-list.txt', 'lost', true],
  ['roundcube-1.7/mailbox.html', 'alive', false],
  ['hostile-show.html', 'alive', false],
  ['hostile-preview.html', 'alive', false],
  ['hostile-list.txt', 'alive', true],
  ['hostile-search.txt', 'alive', true],
  ['hostile-inline-page.html', 'alive', true],
  ['hostile-inline-frame.html', 'alive', true],
];
for (const [name, verdict, complete] of recordings) {
  test(`a real Roundcube's ${name} is ${verdict}`, () => {
    assert.equal(judgeText(recorded(name), complete), verdict);
  });
}

test('the hostile recordings do hold the marks, so that they test something', () => {
  for (const name of ['hostile-show.html', 'hostile-list.txt', 'hostile-search.txt']) {
    assert.match(recorded(name), /session_error/);
  }
});

test('a page that is longer than what is read is judged by its beginning', () => {
  assert.equal(judgeText(recorded('lost-page.html').slice(0, 4000), false), 'lost');
});

const heads: readonly (readonly [
  what: string,
  target: string,
  response: ReturnType<typeof answerHead>,
  Verdict | 'look-inside',
])[] = [
  ['a page', '/?_task=mail', answerHead(200, html), 'look-inside'],
  ['JSON', '/?_task=mail&_action=list', answerHead(200, json), 'look-inside'],
  ['a download that is an error page', '/?_task=mail&_action=get&_download=1', answerHead(200, html), 'look-inside'],
  [
    'a download',
    '/?_task=mail&_action=get',
    answerHead(200, { ...html, 'content-disposition': 'attachment' }),
    'alive',
  ],
  ['a source', '/?_task=mail&_action=viewsource', answerHead(200, { 'content-type': 'text/plain' }), 'alive'],
  ['a redirect', '/?_task=mail', answerHead(302, html), 'alive'],
  ['a failed check', '/?_task=mail', answerHead(403, html), 'alive'],
  ['a removed session', '/?_task=mail', answerHead(200, html, [removal]), 'lost'],
  ['a renewed session', '/?_task=mail', answerHead(200, html, [removal, renewal]), 'look-inside'],
  ['a sign-out', '/?_task=logout&_token=T', answerHead(200, html, [removal]), 'signed-out'],
  ['a sign-out without its token', '/?_task=logout', answerHead(200, html), 'look-inside'],
  ['the sign-in form', '/?_task=login', answerHead(200, html), 'alive'],
  ['a refused sign-in', '/?_task=login', answerHead(401, html, [removal]), 'alive'],
];
for (const [what, target, response, verdict] of heads) {
  test(`by its head, ${what} is: ${verdict}`, () => {
    assert.equal(judgeHeads(requestHead('GET', target), response), verdict);
  });
}

test('a file that is shown as it is cannot speak for Roundcube, however the link to it is written', () => {
  const raw = { ...html, 'content-security-policy': "script-src 'none'", 'referrer-policy': 'same-origin' };
  for (const query of [
    '_task=mail&_action=display-attachment&_id=1',
    '_action=list&_task=mail&_action=display-attachment',
    '_task=mail&.action=display-attachment',
    '_task=mail&%5faction=display-attachment',
    '_task=mail&+_action=display-attachment',
  ]) {
    assert.equal(judgeHeads(requestHead('GET', `/?${query}`), answerHead(200, raw)), 'alive', query);
  }
  const lost = judgeHeads(requestHead('GET', '/?_task=mail&_action=display-attachment'), answerHead(200, html));
  assert.equal(lost, 'look-inside');
});

/** The ways in which Roundcube writes a text into its answers. */
const inScript = (text: string): string => JSON.stringify(text).replaceAll('<', '\\u003C').replaceAll('>', '\\u003E');
const inHtml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
const marks = [
  'this.session_error("/?_task=login&_err=session");\n',
  '\tparent.rcmail.session_error("/?_task=login&_err=session");\n',
  'rcmail.set_env({"task":"login",',
  'if (window.parent && parent.rcmail) {\n',
  '<script>',
  '</script>',
  '\n',
  '\\',
  '"',
  '");\n',
];
const hostile = fc
  .array(fc.oneof(fc.constantFrom(...marks), fc.string({ maxLength: 5 })), { maxLength: 12 })
  .map((parts) => parts.join(''));

test('no text that Roundcube writes for others makes an answer look lost', () => {
  fc.assert(
    fc.property(hostile, (text) => {
      const exec = `this.set_pagetitle(${JSON.stringify(text)});\nthis.add_message_row(1,{"subject":${JSON.stringify(text)}});\n`;
      assert.equal(judgeText(JSON.stringify({ action: 'list', env: { search: text }, exec }), true), 'alive');
      const page = `<html><head><title>${inHtml(text)}</title><script>\nvar rcmail = new rcube_webmail();\nrcmail.set_env({"task":"mail","subject":${inScript(text)}});</script></head><body>${inHtml(text).replaceAll('&quot;', '"')}</body></html>`;
      assert.equal(judgeText(page, true), 'alive');
      const frame = `<html><head><title>${inHtml(text)}</title>\n<script>\nif (window.parent && parent.rcmail) {\n\tparent.rcmail.iframe_loaded("l1");\n\tparent.rcmail.display_message(${inScript(text)},"error",0);\n}\n</script></head><body></body></html>`;
      assert.equal(judgeText(frame, true), 'alive');
    }),
  );
});
