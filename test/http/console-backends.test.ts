import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { eventually } from '../eventually.fixture.ts';
import { type ConsoleFixture, sam, signedIn, type StaffBrowser, startConsole } from './console.fixture.ts';
import { manyBackends, shownBackend } from './console-shown.fixture.ts';

let fixture: ConsoleFixture;
beforeEach(async () => {
  fixture = await startConsole();
  fixture.grants.set(sam, { roles: ['operator'] });
});
afterEach(() => fixture[Symbol.asyncDispose]());

function namesIn(html: string): readonly string[] {
  return [...html.matchAll(/<th scope="row"><a href="[^"]*">([^<]*)</g)].map(([, name = '']) => name);
}

suite('the table of backends', () => {
  test('shows 500 of them in one page of at most 300 KB', async () => {
    fixture.backends = manyBackends();
    const { browser } = await signedIn(fixture);
    const { text } = await browser.get('/-/backends');
    assert.equal(namesIn(text).length, 500);
    assert.ok(Buffer.byteLength(text) <= 300_000, `${Buffer.byteLength(text)} bytes`);
  });

  test('is filtered, sorted and grouped by its address alone', async () => {
    fixture.backends = [
      shownBackend('mail10', { traffic: { sessions: 7, logins: 1, errors: 0 } }),
      shownBackend('mail9', { state: 'DOWN', traffic: { sessions: 1_200, logins: 0, errors: 3 } }),
      shownBackend('web1', { traffic: { sessions: 40, logins: 0, errors: 0 } }),
    ];
    const { browser } = await signedIn(fixture);
    const shown = async (query: string) => namesIn((await browser.get(`/-/backends${query}`)).text);
    assert.deepEqual(await shown(''), ['mail9', 'mail10', 'web1'], 'numbers in names count as numbers');
    assert.deepEqual(await shown('?sort=-sessions'), ['mail9', 'web1', 'mail10']);
    assert.deepEqual(await shown('?sort=state'), ['mail9', 'mail10', 'web1']);
    assert.deepEqual(await shown('?state=DOWN'), ['mail9']);
    assert.deepEqual(await shown('?name=WEB'), ['web1']);
    assert.deepEqual(await shown('?sort=nonsense&state=x&group=y'), ['mail9', 'mail10', 'web1']);
    const { text } = await browser.get('/-/backends?group=prefix');
    assert.deepEqual(
      [...text.matchAll(/scope="rowgroup">([^<]*)</g)].map(([, title]) => title),
      ['mail (2)', 'web (1)'],
    );
    assert.match(text, /1 down/);
    assert.match(text, /1\u202f200/);
  });

  test('says that figures are missing where the reports of the nodes could not be read', async () => {
    const { traffic: _unknown, ...rest } = shownBackend('a');
    fixture.backends = [rest];
    const { browser } = await signedIn(fixture);
    const { text } = await browser.get('/-/backends');
    assert.match(text, /reports of the nodes could not be read/);
    assert.doesNotMatch(text, /<td>0<td>0<td>0/);
  });
});

suite('the page of a backend', () => {
  test('asks once more before maintenance: how many people it meets, and what they will read', async () => {
    const { browser } = await signedIn(fixture);
    await browser.get('/-/backend?name=a');
    const form = {
      backend: 'a',
      state: 'MAINT',
      reason: 'new disks',
      until: '2030-01-31T06:00',
      'text-en': 'Back at six & sound.',
      'text-de': 'Um sechs geht es weiter.',
    };
    const late = await browser.post('/-/backend', { ...form, until: '2020-01-31T06:00' });
    assert.match(late.text, /The end lies in the past\. Name a time to come, in UTC\./);
    const asked = await browser.post('/-/backend', form);
    assert.equal(asked.status, 200);
    assert.match(asked.text, /3 people are signed in there<\/strong>, in 4 sessions/);
    assert.match(asked.text, /Back at six &amp; sound\. /);
    assert.match(asked.text, /Um sechs geht es weiter\. /);
    assert.match(asked.text, /31 January 2030|January 31, 2030/);
    assert.deepEqual(fixture.done, []);
    const fields = [...asked.text.matchAll(/type="hidden" name="([^"]+)" value="([^"]*)"/g)];
    const sent = Object.fromEntries(fields.map(([, name = '', value = '']) => [name, value.replace('&amp;', '&')]));
    assert.equal((await browser.post('/-/backend', sent)).headers['location'], '/-/backend?name=a&done=MAINT');
    assert.deepEqual(fixture.done, ['set a MAINT new disks sam@example.test']);
    assert.match((await browser.get('/-/backend?name=a&done=MAINT')).text, /state was set to maintenance/);
  });

  test('makes a standby the active host, with a reason', async () => {
    fixture.backends = [shownBackend('a', { hosts: 2 })];
    const { browser } = await signedIn(fixture);
    await browser.get('/-/backend?name=a');
    const form = { backend: 'a', do: 'activate', host: 'a/2' };
    assert.equal((await browser.post('/-/backend', { ...form, reason: '' })).status, 400);
    await browser.post('/-/backend', { ...form, reason: 'a is slow' });
    assert.deepEqual(fixture.done, ['activate a/2 of a a is slow sam@example.test']);
  });

  test('offers nothing to do to a viewer', async () => {
    fixture.grants.set(sam, { roles: ['viewer'] });
    const { browser } = await signedIn(fixture);
    const { text } = await browser.get('/-/backend?name=a');
    assert.match(text, /a\.internal/);
    assert.doesNotMatch(text, /name="state"/);
  });

  test('keeps what was typed when something is wrong with it', async () => {
    const { browser } = await signedIn(fixture);
    await browser.get('/-/backend?name=a');
    const { text } = await browser.post('/-/backend', {
      backend: 'a',
      state: 'DRAIN',
      reason: '',
      'text-de': 'Gleich "da"',
    });
    assert.match(text, /needs a reason/);
    assert.match(text, /value="Gleich &quot;da&quot;"/);
    assert.match(text, /value="DRAIN" required checked/);
  });
});

function streamRequest(browser: StaffBrowser) {
  const { port } = fixture.server.address() as AddressInfo;
  return get({
    port,
    path: '/-/backends/live',
    headers: { host: new URL(fixture.origin).host, cookie: browser.cookie, 'sec-fetch-site': 'same-origin' },
  });
}

/** A stream of a browser, and all that it has brought. */
async function listen(browser: StaffBrowser): Promise<{ readonly answer: IncomingMessage; text(): string }> {
  const [answer]: IncomingMessage[] = await once(streamRequest(browser), 'response');
  assert.ok(answer !== undefined);
  let text = '';
  answer.setEncoding('utf8').on('data', (part: string) => (text += part));
  return { answer, text: () => text };
}

suite('the stream of the table', () => {
  test('brings the rows, and again when they have changed', async () => {
    const { browser } = await signedIn(fixture);
    const stream = await listen(browser);
    assert.match(stream.answer.headers['content-type'] ?? '', /^text\/event-stream/);
    await eventually(() => stream.text().includes('event: rows\ndata: '));
    fixture.backends = [shownBackend('newcomer')];
    await eventually(() => stream.text().includes('newcomer'));
    assert.doesNotMatch(stream.text(), /data: [^\n]*\n(?!\n)/, 'each event is one line');
    stream.answer.destroy();
  });

  test('ends with the staff session, and with the role', async () => {
    const { browser } = await signedIn(fixture);
    const signedOut = await listen(browser);
    await browser.get('/-/backends');
    await browser.post('/-/logout', {});
    await eventually(() => signedOut.answer.complete && signedOut.text().includes('event: ended'));

    fixture.grants.set('olga@example.test', { roles: ['viewer'] });
    const demoted = await listen((await signedIn(fixture, 'olga@example.test')).browser);
    fixture.grants.set('olga@example.test', { roles: ['support'] });
    fixture.clock.nowMs += 61_000;
    await eventually(() => demoted.answer.complete && demoted.text().includes('event: ended'));
  });

  test('is one of few: a staff session has four at a time', async () => {
    const { browser } = await signedIn(fixture);
    const streams: Awaited<ReturnType<typeof listen>>[] = [];
    for (let count = 0; count < 4; count += 1) streams.push(await listen(browser));
    assert.equal((await listen(browser)).answer.statusCode, 429);
    streams[0]?.answer.destroy();
    await eventually(async () => {
      const next = await listen(browser);
      next.answer.destroy();
      return next.answer.statusCode === 200;
    });
    fixture.streams.close();
    await eventually(() => streams.slice(1).every(({ answer }) => answer.complete));
  });

  test('is not kept for browsers that left while their session was looked up', async () => {
    const { browser } = await signedIn(fixture);
    for (let count = 0; count < 4; count += 1) {
      const request = streamRequest(browser).on('error', () => {});
      const left = Promise.withResolvers<void>();
      fixture.server.once('request', (_, response) => response.once('close', () => setImmediate(left.resolve)));
      fixture.beforeGrant = async () => {
        request.destroy();
        await left.promise;
      };
      await left.promise;
    }
    fixture.beforeGrant = async () => {};
    const stream = await listen(browser);
    assert.equal(stream.answer.statusCode, 200);
    stream.answer.destroy();
  });
});
