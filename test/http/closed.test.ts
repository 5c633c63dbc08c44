import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Closure } from '../../src/core/placement.ts';
import { createAnswers, retryAfterSeconds } from '../../src/http/gateway-answers.ts';
import { backendName } from '../login/named.fixture.ts';
import { views } from './http.fixture.ts';

const sinceMs = Date.UTC(2026, 10, 22, 8, 30);
const answers = createAnswers(views, { nowMs: () => sinceMs });
const maintenance: Closure = {
  kind: 'maintenance',
  backend: backendName('a'),
  sinceMs,
  untilMs: sinceMs + 45 * 60_000,
  texts: { de: 'Neue Platten <b>kommen</b>.', fr: 'Nouveaux disques.' },
};

function requestWith(fields: Readonly<Record<string, string>>, method = 'GET') {
  return { method, target: '/mail/?_mbox=INBOX', header: (name: string) => fields[name] };
}
const navigation = { 'sec-fetch-mode': 'navigate', 'accept-language': 'de' };
const fieldOf = (answer: ReturnType<typeof answers.closed>, name: string) =>
  answer.headers.find(([field]) => field === name)?.[1];

describe('the answer while nobody is served', () => {
  it('is a page with the operator’s words in the user’s language, escaped, until when, and it looks again', () => {
    const answer = answers.closed(requestWith(navigation), maintenance, 'R-1');
    assert.equal(answer.status, 503);
    assert.match(answer.body, /Neue Platten &lt;b&gt;kommen&lt;\/b&gt;\./);
    assert.match(answer.body, /Voraussichtlich bis 22\. November 2026 um 09:15 UTC/);
    assert.match(answer.body, /R-1/);
    assert.equal(fieldOf(answer, 'Retry-After'), '60');
    assert.equal(fieldOf(answer, 'Refresh'), '60');
  });

  it('has words of its own where the operator said none, and any words rather than none', () => {
    const silent = answers.closed(requestWith(navigation), { ...maintenance, texts: {} }, 'R-1');
    assert.match(silent.body, /Wir arbeiten an Ihrem Mailserver/);
    const french = answers.closed(
      requestWith(navigation),
      { ...maintenance, texts: { fr: 'Nouveaux disques.' } },
      'R-1',
    );
    assert.match(french.body, /Nouveaux disques/);
  });

  it('is JSON for a script, with the times and when to look again', () => {
    const { untilMs: _, ...open } = maintenance;
    const answer = answers.closed(
      requestWith({ 'sec-fetch-mode': 'cors' }),
      { ...open, kind: 'down', texts: {} },
      'R-1',
    );
    const body = JSON.parse(answer.body);
    assert.equal(body.error, 'down');
    assert.equal(body.since, '2026-11-22T08:30:00.000Z');
    assert.equal(fieldOf(answer, 'Retry-After'), '10');
    assert.equal(fieldOf(answer, 'Refresh'), undefined);
  });

  it('never repeats a form by itself', () => {
    const answer = answers.closed(requestWith(navigation, 'POST'), maintenance, 'R-1');
    assert.equal(fieldOf(answer, 'Refresh'), undefined);
    assert.doesNotMatch(answer.body, /href="\/mail/);
  });
});

describe('when to look again', () => {
  it('is soon during a move, and never far apart', () => {
    assert.equal(retryAfterSeconds({ ...maintenance, kind: 'moving' }, sinceMs), 3);
    assert.equal(retryAfterSeconds(maintenance, sinceMs + 44.5 * 60_000), 30);
    assert.equal(retryAfterSeconds(maintenance, sinceMs + 60 * 60_000), 10);
  });
});
