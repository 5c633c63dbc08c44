import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { suite, test } from 'node:test';
import { lab as labScript, withLab } from '../lab/lab.ts';
import type { Letter, Person } from './person.fixture.ts';
import { useSite } from './site.fixture.ts';
import { removeLetters } from './tidy-up.fixture.ts';

const lab = await withLab('a', 'b');
/** A text in the subject of every letter of these tests. */
const mark = randomUUID();

/** Alice has typed this letter, and not sent it. */
async function writing(alice: Person, name: string): Promise<Letter> {
  const letter = {
    to: 'bob@example.test',
    subject: `${name} ${mark}`,
    text: 'Long thoughts, typed with care.',
  };
  await alice.signIn('alice', 'alice-pw');
  await alice.startWriting();
  await alice.write(letter);
  return letter;
}

/** She presses Send, is told that her session has ended, and finds every word where it was. */
async function isTold(alice: Person, letter: Letter): Promise<void> {
  await alice.send();
  await alice.page.locator('#messagestack', { hasText: 'Your session has ended.' }).waitFor();
  assert.match(alice.page.url(), /_action=compose/);
  assert.deepEqual(await alice.written(), { subject: letter.subject, text: letter.text });
}

/** It is in bob's mailbox on b, word for word. */
async function arrives(letter: Letter): Promise<void> {
  const search = ['fetch', '-u', letter.to, 'body', 'mailbox', 'INBOX', 'SUBJECT', letter.subject];
  const untilMs = performance.now() + 15_000;
  let found = '';
  while (found === '' && performance.now() < untilMs) found = await labScript('doveadm', 'b', ...search);
  assert.equal(found.replace(/^body:/, '').trim(), letter.text);
}

/** Follows the notice: its link, the sign-in page, the kept letter. */
async function signsInByTheNotice(alice: Person): Promise<void> {
  await alice.page.locator('#messagestack a', { hasText: 'Sign in again' }).click();
  await alice.page.waitForURL(/\/-\/login/);
  await alice.fillIn('alice', 'alice-pw');
  await alice.page.waitForURL(/_action=compose/);
}

suite('the session ends by idleness while a letter is written, in Chromium', { concurrency: false }, () => {
  const site = useSite(lab, 'idle_timeout: 4s');

  test('the words stay, and are sent after signing in by the link of the notice', async () => {
    const alice = await site.visitor();
    const letter = await writing(alice, 'idle');
    // This test is about the real time.
    await alice.page.waitForTimeout(4500);
    await isTold(alice, letter);
    await signsInByTheNotice(alice);
    await alice.restore(letter);
    await alice.sendAway();
    await arrives(letter);
    assert.deepEqual(alice.complaints, []);
  });
});

suite('the session ends after its longest time while a letter is written, in Chromium', { concurrency: false }, () => {
  const site = useSite(lab, 'idle_timeout: 10s, absolute_timeout: 10s');

  test('the words stay, and are sent after signing in in another tab', async () => {
    const alice = await site.visitor();
    const letter = await writing(alice, 'absolute');
    await alice.page.waitForTimeout(10_000);
    await isTold(alice, letter);

    const tab = await alice.tab();
    await tab.signIn('alice', 'alice-pw');
    assert.deepEqual(await alice.written(), { subject: letter.subject, text: letter.text });
    await tab.startWriting();
    await tab.restore(letter);
    await tab.sendAway();
    await arrives(letter);
  });
});

suite('the session is ended elsewhere while a letter is written, in Chromium', { concurrency: false }, () => {
  const site = useSite(lab, 'max_per_user: 1');
  removeLetters(mark);

  test('by the same user at another browser: the words stay, and are sent after signing in', async () => {
    const alice = await site.visitor();
    const letter = await writing(alice, 'elsewhere');
    const elsewhere = await site.visitor();
    await elsewhere.signIn('alice', 'alice-pw');
    await isTold(alice, letter);
    await signsInByTheNotice(alice);
    await alice.restore(letter);
    await alice.sendAway();
    await arrives(letter);
  });

  test('by signing out and in again in another tab: the words stay, and a notice leads to where they are sent', async () => {
    const alice = await site.visitor();
    const letter = await writing(alice, 'outdated');
    const tab = await alice.tab();
    await tab.page.goto('/-/logout');
    await tab.page.click('main button[type=submit]');
    await tab.page.waitForURL(/\/-\/login/);
    await tab.signIn('alice', 'alice-pw');
    await alice.send();
    const notice = alice.page.locator('#messagestack', { hasText: 'What you have written is kept' });
    await notice.waitFor();
    assert.deepEqual(await alice.written(), { subject: letter.subject, text: letter.text });
    await notice.locator('a').click();
    await alice.restore(letter);
    await alice.sendAway();
    await arrives(letter);
    assert.ok((await tab.mailbox()).length > 0, 'the other tab goes on');
  });

  test('by signing out in another tab: the words stay, and are sent after signing in', async () => {
    const alice = await site.visitor();
    const letter = await writing(alice, 'signed-out');
    const tab = await alice.tab();
    await tab.page.goto('/-/logout');
    await tab.page.click('main button[type=submit]');
    await tab.page.waitForURL(/\/-\/login/);
    await isTold(alice, letter);
    await signsInByTheNotice(alice);
    await alice.restore(letter);
    await alice.sendAway();
    await arrives(letter);
  });
});
