import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { suite, test } from 'node:test';
import { withLab } from '../lab/lab.ts';
import type { Person } from './person.fixture.ts';
import { useSite } from './site.fixture.ts';
import { removeLetters } from './tidy-up.fixture.ts';

const lab = await withLab('a', 'b');
/** A text in the subject of every letter of these tests. */
const mark = randomUUID();
const withFiles = 'HTML-Nachricht mit Anhang: Übersicht.csv';

suite('Roundcube loses its session while a mailbox is open, in Chromium', { concurrency: false }, () => {
  const site = useSite(lab);
  removeLetters(mark);

  /** Alice, who has just opened her mailbox; what she does next finds her webmail session gone. */
  async function reader(act: (alice: Person) => Promise<void>): Promise<void> {
    const alice = await site.visitor();
    const signIns: string[] = [];
    alice.page.on('framenavigated', (frame) => {
      if (frame.url().includes('/-/login')) signIns.push(frame.url());
    });
    await alice.signIn('alice', 'alice-pw');
    signIns.length = 0;
    await act(alice);
    assert.deepEqual(signIns, [], 'nobody is asked to sign in again');
    assert.equal(await alice.page.locator('#login-form').count(), 0);
    await alice.context.close();
  }

  test('another folder is listed', async () => {
    await reader(async (alice) => {
      await lab.expire('a');
      await alice.page.click('#mailboxlist li.sent a');
      await alice.page.waitForFunction('rcmail.env.mailbox === "Sent" && !rcmail.busy');
      await alice.page.click('#mailboxlist li.inbox a');
      assert.ok((await alice.mailbox()).includes('Willkommen auf Server A'));
      assert.deepEqual(alice.complaints, []);
    });
  });

  test('a message is shown in the preview', async () => {
    await reader(async (alice) => {
      await lab.expire('a');
      const preview = await alice.read('Nachricht 8');
      assert.match(await preview.locator('#messagebody').innerText(), /Text der Nachricht 8/);
      assert.deepEqual(alice.complaints, []);
    });
  });

  test('an attachment is saved: the file, and never a page', async () => {
    await reader(async (alice) => {
      const preview = await alice.read(withFiles);
      await lab.expire('a');
      const download = await alice.save(preview, 'Übersicht Größen.csv');
      assert.equal(download.suggestedFilename(), 'Übersicht Größen.csv');
      assert.equal(await readFile(await download.path(), 'utf8'), 'Größe;Menge\r\nXL;3\r\n');
    });
  });

  test('an attachment is saved when something else has healed the session before', async () => {
    await reader(async (alice) => {
      const preview = await alice.read(withFiles);
      await lab.expire('a');
      await alice.page.evaluate('rcmail.keep_alive()');
      await alice.page.waitForResponse(/_action=keep-alive/);
      const download = await alice.save(preview, 'Übersicht Größen.csv');
      assert.equal(await readFile(await download.path(), 'utf8'), 'Größe;Menge\r\nXL;3\r\n');
    });
  });

  test('a new message can be written and sent', async () => {
    const subject = `After a loss ${mark}`;
    await reader(async (alice) => {
      await lab.expire('a');
      await alice.startWriting();
      await alice.write({ to: 'alice@example.test', subject, text: 'to myself' });
      await alice.sendAway();
      await alice.receives(subject);
    });
  });

  test('a message is flagged after something else has healed the session', async () => {
    await reader(async (alice) => {
      const row = alice.page.locator('#messagelist tr.message', { hasText: 'Nachricht 4' });
      const flag = row.locator('span.flag span');
      const wasFlagged = (await flag.getAttribute('class')) === 'flagged';
      await lab.expire('a');
      await alice.read('Nachricht 8');
      await toggled(alice, () => flag.dispatchEvent('click'));
      assert.equal((await flag.getAttribute('class')) === 'flagged', !wasFlagged);
      await toggled(alice, () => flag.dispatchEvent('click'));
    });
  });

  test('a click that changes something and finds the session lost is not done, and the page loads itself again', async () => {
    await reader(async (alice) => {
      const row = alice.page.locator('#messagelist tr.message', { hasText: 'Nachricht 4' });
      await lab.expire('a');
      await Promise.all([
        alice.page.waitForResponse(/_action=list/),
        row.locator('span.flag span').dispatchEvent('click'),
      ]);
      await alice.mailbox();
      await toggled(alice, () => row.locator('span.flag span').dispatchEvent('click'));
      await toggled(alice, () => row.locator('span.flag span').dispatchEvent('click'));
    });
  });

  for (const [when, act] of [
    ['that has just lost it', async () => {}],
    ['that is older than it', async (alice: Person) => void (await alice.read('Nachricht 8'))],
  ] as const) {
    test(`Roundcube's own button ends the session, from a page ${when}`, async () => {
      const alice = await site.visitor();
      await alice.signIn('alice', 'alice-pw');
      await lab.expire('a');
      await act(alice);
      await alice.page.click('#taskmenu a.logout');
      await alice.page.waitForURL('**/-/login?ended=signed-out');
      await alice.page.goto('/?_task=mail');
      assert.match(alice.page.url(), /\/-\/login/);
    });
  }

  for (const [moment, act] of [
    ['at the next sign of life of the page', (alice: Person) => alice.page.evaluate('rcmail.keep_alive()')],
    ['when it is sent', (alice: Person) => alice.send()],
  ] as const) {
    test(`a letter that is being written is kept, and can be sent: noticed ${moment}`, async () => {
      const letter = { to: 'alice@example.test', subject: `Kept ${moment} ${mark}`, text: 'Long thoughts.' };
      await reader(async (alice) => {
        await alice.startWriting();
        await alice.write(letter);
        await lab.expire('a');
        await act(alice);
        const notice = alice.page.locator('#messagestack', { hasText: 'What you have written is kept' });
        await notice.waitFor();
        assert.deepEqual(await alice.written(), { subject: letter.subject, text: letter.text });
        await notice.locator('a').click();
        await alice.restore(letter);
        await alice.sendAway();
        await alice.receives(letter.subject);
      });
    });
  }
});

/** Waits until Roundcube has changed a message's flag. */
async function toggled(alice: Person, act: () => Promise<void>): Promise<void> {
  const [answer] = await Promise.all([alice.page.waitForResponse(/_action=mark/), act()]);
  assert.equal(answer.status(), 200);
  assert.doesNotMatch(await answer.text(), /session_error/);
}
