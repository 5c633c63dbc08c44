import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/core/clock.ts';
import { type FailureKind, failureKinds, type RequestHead } from '../../src/core/http.ts';
import { createAnswers } from '../../src/http/gateway-answers.ts';
import { views } from './http.fixture.ts';

const answers = createAnswers(views, systemClock);

function head(fields: Readonly<Record<string, string>>, method = 'GET', target = '/?_task=mail'): RequestHead {
  return { method, target, header: (name) => fields[name] };
}

const navigation = head({ 'sec-fetch-mode': 'navigate', accept: 'text/html' });
const script = head({ 'sec-fetch-mode': 'cors', accept: '*/*' });

function field(answer: { headers: readonly (readonly [string, string])[] }, name: string): string | undefined {
  return answer.headers.find(([other]) => other === name)?.[1];
}

const statuses: Readonly<Record<FailureKind, number>> = {
  unavailable: 503,
  busy: 503,
  timeout: 504,
  'bad-answer': 502,
  store: 503,
  'unknown-key': 503,
};
for (const kind of failureKinds) {
  test(`a failure (${kind}) is a page for a person and JSON for a script, with one reference`, () => {
    const page = answers.failure(navigation, { kind, reference: 'R1-R2' });
    assert.equal(page.status, statuses[kind]);
    assert.equal(field(page, 'Content-Type'), 'text/html; charset=utf-8');
    assert.match(page.body, /R1-R2/);
    assert.match(page.body, /href="\/\?_task=mail"/);
    assert.match(field(page, 'Content-Security-Policy') ?? '', /frame-ancestors 'none'/);
    assert.equal(field(page, 'Cache-Control'), 'no-store');

    const json = answers.failure(script, { kind, reference: 'R1-R2' });
    assert.equal(json.status, statuses[kind]);
    assert.deepEqual(JSON.parse(json.body), { error: kind, reference: 'R1-R2' });
    assert.equal(field(json, 'Retry-After'), field(page, 'Retry-After'));
    assert.equal(field(page, 'Retry-After') !== undefined, page.status === 503);
  });
}

test('what a person sees is told by Sec-Fetch-Mode, else by Accept', () => {
  assert.equal(isPage({ accept: 'text/html,*/*' }), true);
  assert.equal(isPage({ accept: 'text/html,*/*', 'x-requested-with': 'XMLHttpRequest' }), false);
  assert.equal(isPage({ accept: 'text/html', 'sec-fetch-mode': 'cors' }), false);
  assert.equal(isPage({ accept: '*/*' }), false);
  assert.equal(isPage({}), false);
});

test('a failed POST is not repeated by a link', () => {
  const page = answers.failure(head({ 'sec-fetch-mode': 'navigate' }, 'POST'), { kind: 'timeout', reference: 'R' });
  assert.doesNotMatch(page.body, /Try again<\/a>/);
});

test('a target cannot break out of the page', () => {
  const page = answers.failure(head({ 'sec-fetch-mode': 'navigate' }, 'GET', '/"><script>'), {
    kind: 'busy',
    reference: 'R',
  });
  assert.doesNotMatch(page.body, /"><script>/);
});

test('a target that would be another host as a link is not linked', () => {
  for (const target of ['//evil.example/', '/\\evil.example']) {
    const page = answers.failure(head({ 'sec-fetch-mode': 'navigate' }, 'GET', target), {
      kind: 'busy',
      reference: 'R',
    });
    assert.doesNotMatch(page.body, /evil/);
  }
});

test('a webmail that loses its session again and again is said to do so', () => {
  const page = answers.tooOften(navigation, 'R1');
  assert.equal(page.status, 503);
  assert.equal(field(page, 'Retry-After'), '60');
  assert.match(page.body, /keeps signing you out/);
});

test('a frame without a session says that nothing was sent, and only our own pages may frame it', () => {
  const page = answers.noSessionFrame(head({ 'accept-language': 'de' }, 'POST'));
  assert.equal(page.status, 401);
  assert.match(field(page, 'Content-Security-Policy') ?? '', /frame-ancestors 'self'/);
  assert.equal(field(page, 'X-Frame-Options'), 'SAMEORIGIN');
  assert.match(page.body, /Es wurde nichts gesendet/);
  assert.match(page.body, /href="\/-\/login" target="_blank"/);
});

test('an address that is not ours is refused in words, without a link to itself', () => {
  assert.equal(answers.refused(navigation, 'foreign-host').status, 421);
  assert.equal(answers.refused(navigation, 'no-host').status, 400);
  assert.match(answers.refused(navigation, 'not-https').body, /https:\/\//);
  assert.doesNotMatch(answers.refused(navigation, 'foreign-host').body, /</);
});

function isPage(fields: Readonly<Record<string, string>>): boolean {
  return answers.failure(head(fields), { kind: 'busy', reference: 'R' }).body.startsWith('<!doctype html>');
}
