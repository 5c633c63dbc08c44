import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CookieJar } from '../../src/core/cookie-jar.ts';
import { pageToken, tokenField } from '../../src/webmail/roundcube/pages.ts';
import { create } from '../../src/webmail/roundcube/roundcube.ts';
import { fakeRoundcube, recorded } from './fake-roundcube.fixture.ts';
import {
  answerHead,
  clock,
  going,
  hostWith,
  identity,
  requestHead,
  scriptedExchange,
} from './scripted-exchange.fixture.ts';

const publicOrigin = 'https://mail.example.test';
const driver = create({ exchange: scriptedExchange(fakeRoundcube()), clock, settings: {} });

async function signedIn(): Promise<CookieJar> {
  const outcome = await driver.signIn(hostWith('/'), identity('right'), going);
  assert.ok(outcome.kind === 'signed-in');
  return outcome.jar;
}

const host = { host: 'mail.example.test' };
const ours = { ...host, referer: `${publicOrigin}/?_task=mail` };
const download = '/?_task=mail&_action=get&_uid=3&_part=2&_download=1&_token=old';

const asked: readonly (readonly [
  what: string,
  method: string,
  target: string,
  fields: Readonly<Record<string, string>>,
  renewed: 'field' | 'page' | 'none',
])[] = [
  ['a script’s request', 'GET', '/?_task=mail&_action=list&_remote=1', { 'x-roundcube-request': 'old' }, 'field'],
  ['a script’s change', 'POST', '/?_task=mail&_action=mark', { 'x-roundcube-request': 'old' }, 'field'],
  ['a form of our own page', 'POST', '/?_task=mail&_action=send', { origin: publicOrigin }, 'page'],
  ['a form of another site', 'POST', '/?_task=mail&_action=send', { origin: 'https://evil.example' }, 'none'],
  ['a form of nobody knows where', 'POST', '/?_task=mail&_action=send', { origin: 'null' }, 'none'],
  ['a form that does not say where', 'POST', '/?_task=mail&_action=send', ours, 'none'],
  [
    'a message that is sent from a page of an older session',
    'POST',
    '/?_task=mail&_unlock=loading1&_framed=1',
    { ...host, origin: publicOrigin, referer: `${publicOrigin}/?_task=mail&_action=compose&_id=1` },
    'none',
  ],
  ['a download', 'GET', download, { ...ours, 'sec-fetch-dest': 'document' }, 'page'],
  ['a download in a frame', 'GET', download, { ...ours, 'sec-fetch-dest': 'iframe' }, 'page'],
  ['a download with an older browser', 'GET', download, ours, 'page'],
  ['a sign-out', 'GET', '/?_task=logout&_token=old', ours, 'page'],
  ['a link without a token', 'GET', '/?_task=logout', ours, 'none'],
  ['a link in a mail, which sends no Referer', 'GET', '/?_task=logout&_token=x', host, 'none'],
  ['a link on another site', 'GET', download, { ...host, referer: 'https://evil.example/' }, 'none'],
  ['a picture in a mail', 'GET', '/?_task=logout&_token=x', { ...ours, 'sec-fetch-dest': 'image' }, 'none'],
  ['a page', 'GET', '/?_task=mail', ours, 'none'],
];
const told = {
  field: 'has the token of the session in its field',
  page: 'has the token of the session where its page wrote one',
  none: 'is given no token',
};
for (const [what, method, target, fields, renewed] of asked) {
  test(`${what} ${told[renewed]}`, async () => {
    const as = { ...identity('right'), publicOrigin, session: 'session', jar: await signedIn() };
    const request = requestHead(method, target, fields);
    assert.deepEqual(tokenField(request, as), renewed === 'field' ? [['X-Roundcube-Request', 'T1']] : []);
    assert.deepEqual(pageToken(request, as), renewed === 'page' ? { name: '_token', value: 'T1' } : undefined);
  });
}

test('the token is never a cookie of a request to the webmail', async () => {
  assert.doesNotMatch((await signedIn()).header('/?_task=mail', clock.nowMs()), /token/);
});

test('a client without a jar is given no token', () => {
  const as = { ...identity('right'), publicOrigin, session: undefined };
  assert.deepEqual(tokenField(requestHead('POST', '/?_task=mail', { 'x-roundcube-request': 'old' }), as), []);
  assert.equal(pageToken(requestHead('POST', '/?_task=mail', { origin: publicOrigin }), as), undefined);
});

test('a page on which a message is written, and whose token is refused, is outdated; another page is not', () => {
  const refused = Buffer.from(recorded('refused-form.html'));
  const verdict = (method: string, referer: string) => {
    const fields = { ...host, referer: publicOrigin + referer, 'sec-fetch-dest': 'iframe' };
    return driver.judgeBody?.(requestHead(method, '/?_task=mail&_unlock=l1&_framed=1', fields), refused, true);
  };
  assert.equal(verdict('POST', '/?_task=mail&_action=compose&_id=1'), 'outdated');
  assert.equal(verdict('GET', '/?_task=mail&_action=compose&_id=1'), 'alive');
  assert.equal(verdict('POST', '/?_task=settings'), 'alive');
});

test('such a refusal is looked into whatever its status: 1.6 says 200, 1.7 says 403', () => {
  const fields = { ...host, referer: `${publicOrigin}/?_task=mail&_action=compose&_id=1`, 'sec-fetch-dest': 'iframe' };
  const html = { 'content-type': 'text/html; charset=UTF-8' };
  const judged = (status: number, method: string) =>
    driver.judge(requestHead(method, '/?_task=mail&_unlock=l1&_framed=1', fields), answerHead(status, html));
  for (const status of [200, 403]) assert.equal(judged(status, 'POST'), 'look-inside');
  assert.equal(judged(403, 'GET'), 'alive');
});

test('a message that was sent is no refusal', () => {
  const fields = { ...ours, referer: `${publicOrigin}/?_task=mail&_action=compose&_id=1` };
  const request = requestHead('POST', '/?_task=mail&_framed=1', fields);
  const sent =
    '<script>\nif (window.parent && parent.rcmail) {\n\tparent.rcmail.sent_successfully("confirmation");\n}\n</script>';
  assert.equal(driver.judgeBody?.(request, Buffer.from(sent), true), 'alive');
});

test('a sign-out of our own page that finds no session is a sign-out; any other page is lost', () => {
  const lost = Buffer.from(recorded('lost-page.html'));
  const verdict = (target: string, fields: Readonly<Record<string, string>>) =>
    driver.judgeBody?.(requestHead('GET', target, fields), lost, true);
  assert.equal(verdict('/?_task=logout&_token=old', ours), 'signed-out');
  assert.equal(verdict('/?_task=logout&_token=old', host), 'lost');
  assert.equal(verdict('/?_task=mail', ours), 'lost');
});
