import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { withLab } from '../lab/lab.ts';
import type { Person } from './person.fixture.ts';
import { useSite } from './site.fixture.ts';

const lab = await withLab('a', 'b');

/** Asserts that the next person at this browser sees the sign-in page, and no part of the mailbox. */
async function seesNothing(person: Person): Promise<void> {
  await person.page.waitForURL(/\/-\/login/);
  await person.page.locator('#password').waitFor();
  assert.doesNotMatch(await person.page.content(), /Willkommen|Nachricht \d|messagelist/);
}

suite('somebody signs out, in Chromium', { concurrency: false }, () => {
  const site = useSite(lab);

  test("Roundcube's own button ends the session: back, reload and the old address show nothing of the mailbox", async () => {
    const alice = await site.visitor();
    await alice.signIn('alice', 'alice-pw');
    await alice.read('Nachricht 8');
    const mailbox = alice.page.url();
    const [answer] = await Promise.all([
      alice.page.waitForResponse(/_task=logout/),
      alice.page.click('#taskmenu a.logout'),
    ]);
    assert.equal((await answer.allHeaders())['clear-site-data'], undefined);
    assert.doesNotMatch(await alice.page.content(), /Nachricht \d/);

    await alice.page.goBack();
    await seesNothing(alice);
    await alice.page.reload();
    await seesNothing(alice);
    await alice.page.goto(mailbox);
    await seesNothing(alice);
    const tab = await alice.tab();
    await tab.page.goto('/');
    await seesNothing(tab);
  });

  test("the gateway's own page does the same, and says that it is done", async () => {
    const bob = await site.visitor();
    await bob.signIn('bob', 'bob-pw');
    await bob.page.goto('/-/logout');
    await bob.page.click('main button[type=submit]');
    await bob.page.waitForURL('**/-/login?ended=signed-out');
    assert.match(await bob.page.innerText('main'), /You are signed out/);
    await bob.page.goBack();
    await bob.page.goBack();
    await seesNothing(bob);
    assert.deepEqual(bob.complaints, []);
  });

  test('the next one at the same browser gets another mailbox, and nothing of the first', async () => {
    const alice = await site.visitor();
    await alice.signIn('alice', 'alice-pw');
    await alice.page.click('#taskmenu a.logout');
    await alice.page.goto('/');
    await alice.fillIn('bob', 'bob-pw');
    const subjects = await alice.mailbox();
    assert.ok(subjects.includes('Willkommen auf Server B'));
    assert.ok(!subjects.includes('Willkommen auf Server A'));
    assert.match(await alice.page.title(), /Webmail on backend b/);
  });

  test('what another tab still shows can do nothing any more', async () => {
    const alice = await site.visitor();
    await alice.signIn('alice', 'alice-pw');
    const tab = await alice.tab();
    await tab.page.goto('/?_task=mail');
    await tab.mailbox();
    await alice.page.click('#taskmenu a.logout');
    await alice.page.waitForURL(/_task=logout|\/-\/login/);
    await tab.page.locator('#messagelist tr.message', { hasText: 'Nachricht 5' }).click();
    await tab.page.waitForURL(/\/-\/login/);
    await seesNothing(tab);
  });
});
