import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Answer } from '../../../src/core/http.ts';
import { lostAnswer, resumeTarget, retryAnswer } from '../../../src/webmail/roundcube/lost-answer.ts';
import { judgeText } from '../../../src/webmail/roundcube/pages.ts';
import { recorded } from '../fake-roundcube.fixture.ts';
import { requestHead } from '../scripted-exchange.fixture.ts';

const script = { 'x-roundcube-request': 'T', 'sec-fetch-dest': 'empty' };

function answerTo(method: string, target: string, fields: Readonly<Record<string, string>>): Answer {
  const answer = lostAnswer(requestHead(method, target, fields), '/-/login?ended=idle');
  assert.ok(answer !== undefined);
  return answer;
}

/** The calls that Roundcube's script runs for an answer: name and arguments. */
function callsOf(answer: Answer): readonly (readonly [name: string, ...args: unknown[]])[] {
  const parsed: unknown = answer.body.startsWith('{') ? JSON.parse(answer.body) : undefined;
  const isJson = typeof parsed === 'object' && parsed !== null && 'exec' in parsed;
  const code = isJson ? String(parsed.exec) : (/<script>([^<]*)<\/script>/.exec(answer.body)?.[1] ?? '');
  return [...code.matchAll(/^\s*(?:this|parent\.rcmail)\.(\w+)\((.*)\);$/gm)].map(([, name = '', args = '']) => {
    const values: unknown = JSON.parse(`[${args}]`);
    return [name, ...(Array.isArray(values) ? values : [])];
  });
}

test('a script is told in JSON, as Roundcube itself would tell it', () => {
  const answer = answerTo('GET', '/?_task=mail&_action=list&_remote=1&_unlock=loading12', script);
  assert.equal(answer.status, 200);
  const parsed: unknown = JSON.parse(answer.body);
  assert.ok(typeof parsed === 'object' && parsed !== null && 'action' in parsed && 'unlock' in parsed);
  assert.deepEqual([parsed.action, parsed.unlock], ['list', 'loading12']);
  assert.deepEqual(
    callsOf(answer).map(([name]) => name),
    ['display_message', 'session_error'],
  );
  assert.deepEqual(callsOf(answer)[1], ['session_error', '/-/login?ended=idle']);
});

test('a POST of the script, whose _remote=1 stands in the body, is known by its own header', () => {
  assert.match(answerTo('POST', '/?_task=mail&_action=refresh', script).body, /^\{"action":"refresh"/);
});

test('the hidden frame that sends a message gets a page that calls the page around it', () => {
  const answer = answerTo('POST', '/?_task=mail&_action=send&_unlock=loading1&_framed=1', {
    'sec-fetch-dest': 'iframe',
  });
  const calls = callsOf(answer);
  assert.deepEqual(
    calls.map(([name]) => name),
    ['iframe_loaded', 'display_message', 'session_error'],
  );
  assert.deepEqual(calls[0], ['iframe_loaded', 'loading1']);
  assert.match(answer.body, /<meta name="generator" content="Roundcube">/, 'by which the page knows its own server');
});

test('the preview frame gets the same', () => {
  const answer = answerTo('GET', '/?_task=mail&_action=preview&_uid=1&_framed=1', { 'sec-fetch-dest': 'iframe' });
  assert.deepEqual(callsOf(answer)[0], ['iframe_loaded', 0]);
});

test('both are what the driver itself takes for a lost session, as the recorded ones are', () => {
  for (const body of [recorded('lost-send.html'), recorded('lost-list.txt')])
    assert.equal(judgeText(body, true), 'lost');
  assert.equal(judgeText(answerTo('GET', '/?_remote=1', script).body, true), 'lost');
  assert.equal(judgeText(answerTo('GET', '/?_framed=1', {}).body, true), 'lost');
});

const pages: readonly (readonly [referer: string, next: string | null])[] = [
  ['https://mail.example.test/?_task=mail&_mbox=Sent', '/?_task=mail&_mbox=Sent'],
  ['https://mail.example.test/roundcube/?_task=mail&_action=compose&_id=5', '/roundcube/?_task=mail&_action=compose'],
  ['https://evil.test/?_task=mail', null],
  ['https://mail.example.test//evil.test/', null],
  ['not a URL', null],
];
for (const [referer, next] of pages) {
  test(`after sign-in, a user who was at ${referer} goes to ${next ?? 'the start'}`, () => {
    const calls = callsOf(answerTo('GET', '/?_remote=1', { ...script, referer, host: 'mail.example.test' }));
    const target = new URL(String(calls[1]?.[1]), 'https://mail.example.test');
    assert.equal(target.searchParams.get('next'), next);
    assert.equal(target.searchParams.get('ended'), 'idle');
    assert.equal(target.pathname, '/-/login');
  });
}

test('who is writing a message is told that it is kept, with a link, because Roundcube does not lead that page away', () => {
  const referer = 'https://mail.example.test/?_task=mail&_action=compose&_id=5';
  const fields = { referer, host: 'mail.example.test', 'accept-language': 'de-AT,de;q=0.9' };
  const message = String(callsOf(answerTo('POST', '/?_task=mail&_action=send&_framed=1', fields))[1]?.[1]);
  assert.match(message, /^Ihre Sitzung ist beendet\. Was Sie geschrieben haben/);
  assert.match(
    message,
    /<a href="\/-\/login\?ended=idle&amp;next=%2F%3F_task%3Dmail%26_action%3Dcompose">Neu anmelden/,
  );
});

test('nothing that a client sends breaks out of the strings', () => {
  const target = '/?_remote=1&_action=%3C%2Fscript%3E%22%29%3Balert%281%29&_unlock=%22%29%3Balert%281%29%2F%2F';
  const referer = 'https://mail.example.test/?x=</script>"\');alert(1)//';
  const fields = { ...script, referer, host: 'mail.example.test' };
  for (const answer of [
    answerTo('GET', target, fields),
    answerTo('GET', target.replace('_remote', '_framed'), { referer, host: 'mail.example.test' }),
  ]) {
    assert.deepEqual(
      callsOf(answer)
        .map(([name]) => name)
        .filter((name) => name !== 'iframe_loaded'),
      ['display_message', 'session_error'],
    );
    if (!answer.body.startsWith('{')) assert.equal(answer.body.match(/<\/script>/g)?.length, 1);
  }
});

test('other requests are none of its business', () => {
  for (const request of [
    requestHead('GET', '/'),
    requestHead('GET', '/?_task=mail&_framed=1', { 'sec-fetch-dest': 'document' }),
    requestHead('PUT', '/?_remote=1', script),
    requestHead('GET', '/?_task=mail&_remote=0'),
    requestHead('POST', '/SOGo/so/alice/Mail/view'),
  ]) {
    assert.equal(lostAnswer(request, '/-/login'), undefined);
  }
});

const resumed: readonly (readonly [target: string, to: string])[] = [
  ['/?_task=mail&_mbox=Sent&_uid=3', '/?_task=mail&_mbox=Sent&_uid=3'],
  ['/', '/'],
  ['/?_task=mail&_action=compose&_to=a@b.test', '/?_task=mail&_action=compose&_to=a@b.test'],
  ['/?_task=mail&_action=compose&_id=42', '/?_task=mail&_action=compose'],
  ['/roundcube/?_task=mail&_action=compose&_id=42', '/roundcube/?_task=mail&_action=compose'],
  ['/?_task=logout&_token=T', '/'],
  ['/roundcube/?_task=login&_err=session', '/roundcube/'],
];
for (const [target, to] of resumed) {
  test(`in a fresh session ${target} goes on at ${to}`, () => assert.equal(resumeTarget(target), to));
}

const writing = {
  host: 'mail.example.test',
  referer: 'https://mail.example.test/rc/?_task=mail&_action=compose&_id=1',
};

test('a page on which a message is written is told that it is kept, with a link to a new one that offers it', () => {
  const frame = { ...writing, 'sec-fetch-dest': 'iframe', 'accept-language': 'de' };
  for (const request of [
    requestHead('GET', '/rc/?_task=mail&_action=keep-alive&_remote=1', { ...script, ...writing }),
    requestHead('POST', '/rc/?_task=mail&_unlock=loading1&_framed=1', frame),
  ]) {
    const answer = retryAnswer(request);
    assert.ok(answer !== undefined);
    const calls = callsOf(answer).slice(-2);
    assert.match(String(calls[0]?.[1]), /<a href="\/rc\/\?_task=mail&amp;_action=compose">(?:Restore|Nachricht)/);
    assert.deepEqual(calls[1], ['session_error', '/rc/?_task=mail&_action=compose']);
  }
});

test('other pages, and what a person opens from there, are not told', () => {
  const elsewhere = { ...writing, referer: 'https://mail.example.test/rc/?_task=mail' };
  assert.equal(retryAnswer(requestHead('GET', '/rc/?_task=mail&_remote=1', { ...script, ...elsewhere })), undefined);
  assert.equal(retryAnswer(requestHead('GET', '/rc/?_remote=1', script)), undefined);
  const tab = { ...writing, 'sec-fetch-dest': 'document' };
  assert.equal(retryAnswer(requestHead('GET', '/rc/?_task=mail&_framed=1', tab)), undefined);
});

test('a form that fills the tab is told that nothing was saved, and is a link away', () => {
  const referer = 'https://mail.example.test/rc/?_task=settings&_action=plugin.password';
  const tab = { referer, host: 'mail.example.test', 'sec-fetch-dest': 'document' };
  const save = '/rc/?_task=settings&_action=plugin.password-save';
  const answer = retryAnswer(requestHead('POST', save, tab));
  assert.match(answer?.body ?? '', /Nothing of what you sent was saved/);
  assert.match(answer?.body ?? '', /href="\/rc\/\?_task=settings&amp;_action=plugin\.password"/);
  const german = retryAnswer(requestHead('POST', save, { ...tab, 'accept-language': 'de' }));
  assert.match(german?.body ?? '', /wurde nicht gespeichert/);
  assert.equal(retryAnswer(requestHead('POST', save, { ...tab, referer: 'https://evil.example/' })), undefined);
  assert.equal(retryAnswer(requestHead('POST', save, { ...tab, 'sec-fetch-dest': 'iframe' })), undefined);
});
