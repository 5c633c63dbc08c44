import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { ImpersonationRecord } from '../../src/core/session.ts';
import { policiesWithBanner } from '../../src/proxy/banner-injection.ts';
import { session, user } from '../support/staff.fixture.ts';
import { ask, startGate, startRecordingBackend } from './gate.fixture.ts';

const banner = {
  html: '<script src="/-/assist/banner.js?v=1" nonce="n0"></script>',
  nonce: 'n0',
  script: 'https://assist.test/-/assist/banner.js',
  style: 'https://assist.test/-/assist/banner.css',
  formAction: 'https://assist.test/-/assist/stop',
};

suite('the policy of a page with a banner', () => {
  const js = banner.script;
  const css = banner.style;
  for (const [before, after] of [
    ["script-src 'self'; style-src 'self'", `script-src 'self' ${js}; style-src 'self' ${css}`],
    ["default-src 'self'", `default-src 'self'; script-src 'self' ${js}; style-src 'self' ${css}`],
    ["default-src 'none'", `default-src 'none'; script-src ${js}; style-src ${css}`],
    ["script-src 'none'", `script-src ${js}`],
    ["script-src 'unsafe-inline'", `script-src 'unsafe-inline' ${js}`],
    ["script-src 'nonce-x' 'strict-dynamic'", "script-src 'nonce-x' 'strict-dynamic' 'nonce-n0'"],
    ["script-src 'self'; script-src-elem 'none'", `script-src 'self'; script-src-elem ${js}`],
    ["form-action 'none'", `form-action ${banner.formAction}`],
    ["frame-ancestors 'self'", "frame-ancestors 'self'"],
    ["img-src *, default-src 'none'", `img-src *,default-src 'none'; script-src ${js}; style-src ${css}`],
  ] as const) {
    test(`lets in the banner and nothing else: ${before}`, () => {
      assert.equal(policiesWithBanner(before, banner), after);
    });
  }
});

const impersonation: ImpersonationRecord = {
  actor: user('sam@example.test'),
  staffSession: session('sam'),
  reason: 'a reason',
  ticket: '',
};

/** Asks a webmail that answers so, in a session that staff opened, and shows both ends. */
async function answerOf(
  fields: Readonly<Record<string, string>>,
  body: string | Buffer,
  request: { readonly head?: string; readonly isPage?: boolean; readonly own?: boolean } = {},
) {
  await using backend = await startRecordingBackend((_request, response) => response.writeHead(200, fields).end(body));
  await using gate = await startGate({
    backendPort: backend.port,
    bannerOf: () => banner,
    ...(request.isPage === undefined ? {} : { driver: { isPage: () => request.isPage ?? true } }),
  });
  if (request.own !== true) Object.assign(gate.session.record, { impersonation });
  const head = request.head ?? 'Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document';
  const answer = await ask(
    gate.port,
    `GET /mail HTTP/1.1\r\nHost: ${request.own === true ? 'mail' : 'assist'}.example.test\r\nCookie: postern=alice\r\n${head}\r\n` +
      'Accept-Encoding: gzip\r\nIf-None-Match: "x"\r\nConnection: close\r\n\r\n',
  );
  return { answer, asked: backend.seen[0]?.fields ?? [] };
}

suite('the banner of a mailbox that staff opened', () => {
  const html = {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy': "default-src 'self'",
    ETag: '"e"',
  };
  const page = '<html><head><title>x</title></head></html>';

  test('stands in a page, which is requested uncompressed and without a condition', async () => {
    const { answer, asked } = await answerOf({ ...html, 'Content-Length': String(page.length) }, page);
    assert.match(answer, /<head><script src="\/-\/assist\/banner\.js\?v=1" nonce="n0"><\/script><title>/);
    assert.match(answer, /Content-Security-Policy: default-src 'self'; script-src 'self' https:\/\/assist\.test/);
    assert.doesNotMatch(answer, /^(?:Content-Length|ETag):/im);
    const names = asked.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase());
    assert.ok(!names.includes('if-none-match'));
    assert.equal(asked[asked.findIndex((name) => name === 'Accept-Encoding') + 1], 'identity');
  });

  for (const [what, head] of [
    ['a frame', 'Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe'],
    ['what a script asks for', 'Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty'],
  ] as const) {
    test(`does not stand in ${what}`, async () => {
      const { answer } = await answerOf(html, page, { head });
      assert.ok(answer.endsWith(page) || answer.includes(page));
    });
  }

  test('does not stand in a page of HTML that is an attachment', async () => {
    assert.ok((await answerOf(html, page, { isPage: false })).answer.includes(page));
    assert.ok(
      (await answerOf({ ...html, 'Content-Disposition': 'attachment; filename=a.html' }, page)).answer.includes(page),
    );
    assert.ok(
      (await answerOf({ ...html, 'Content-Security-Policy': "default-src 'none'; sandbox" }, page)).answer.includes(
        page,
      ),
    );
  });

  test('does not stand in anything but HTML', async () => {
    assert.ok((await answerOf({ 'Content-Type': 'application/pdf' }, '%PDF <head>')).answer.includes('%PDF <head>'));
  });

  test('does not stand in the pages of a user’s own session', async () => {
    assert.ok((await answerOf(html, page, { own: true })).answer.includes(page));
  });

  for (const [what, head, status] of [
    ['another host’s script', 'Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty', 403],
    ['another host’s image', 'Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image', 403],
    ['another host’s frame', 'Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe', 403],
    ['an older browser on another host', 'Origin: http://mail.example.test', 403],
    ['a link', 'Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document', 200],
    ['its own scripts', 'Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty', 200],
    ['its own scripts in an older browser', 'Origin: http://assist.example.test', 200],
  ] as const) {
    test(`${status === 200 ? 'and its page are' : 'and its page are not'} shown to ${what}`, async () => {
      const { answer, asked } = await answerOf(html, page, { head });
      assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.equal(asked.length > 0, status === 200);
    });
  }

  test('is never left out: a page in a coding that was not asked for is not shown', async () => {
    const { answer } = await answerOf({ ...html, 'Content-Encoding': 'gzip' }, gzipSync(page));
    assert.match(answer, /^HTTP\/1\.1 502 /);
  });
});
