import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { withLab } from '../lab/lab.ts';
import type { Person } from './person.fixture.ts';
import { useSite } from './site.fixture.ts';

const lab = await withLab('a', 'b');
/** Set to rewrite the pictures of the documentation. */
const writesImages = process.env['POSTERN_WRITE_IMAGES'] === '1';

suite('a person signs in, in Chromium', { concurrency: false }, () => {
  const site = useSite(lab);

  test('alice types her name and password, and sees her folders and mails on a', async () => {
    const alice = await site.visitor();
    await alice.page.goto('/');
    assert.match(alice.page.url(), /\/-\/login$/);
    await alice.fillIn('alice', 'alice-pw');
    await alice.page.waitForURL('**/?_task=mail');
    const subjects = await alice.mailbox();
    assert.ok(subjects.includes('Willkommen auf Server A'), subjects.join());
    assert.ok(subjects.includes('Äpfel, Öl & Übergrößen – Preisliste in €'), subjects.join());
    const folders = (await alice.folders()).map((name) => name.split('\n')[0]);
    assert.deepEqual(folders, ['Inbox', 'Drafts', 'Sent', 'Junk', 'Trash']);
    assert.match(await alice.page.title(), /Webmail on backend a/);
    assert.deepEqual(alice.complaints, []);
    if (writesImages) {
      await alice.read('Willkommen auf Server A');
      await alice.page.waitForLoadState('networkidle');
      const images = new URL('../../docs/images/', import.meta.url);
      await alice.page.screenshot({ path: fileURLToPath(new URL('mailbox-a.png', images)) });
    }
  });

  test('bob does the same, and is on b', async () => {
    const bob = await site.visitor();
    await bob.signIn('bob@example.test', 'bob-pw');
    assert.ok((await bob.mailbox()).includes('Willkommen auf Server B'));
    assert.match(await bob.page.title(), /Webmail on backend b/);
  });

  test('the browser holds no cookie of the webmail session, and no script can read ours', async () => {
    const alice = await site.visitor();
    await alice.signIn('alice', 'alice-pw');
    const cookies = await alice.context.cookies();
    assert.deepEqual(
      cookies.filter(({ name }) => name.startsWith('roundcube')),
      [],
    );
    assert.equal(await alice.page.evaluate<string>('document.cookie'), '');
  });

  /** A user whose first attempt is refused, with the text of the page without the reference. */
  async function refused(name: string): Promise<{ readonly person: Person; readonly text: string }> {
    const person = await site.visitor();
    await person.page.goto('/');
    await person.fillIn(name, 'wrong');
    await person.page.locator('#problem').waitFor();
    assert.equal(await person.page.inputValue('#user'), name);
    assert.equal(await person.page.inputValue('#password'), '');
    const text = await person.page.innerText('body');
    return { person, text: text.replace(/[A-Z0-9]{4}-[A-Z0-9]{4}/, 'reference') };
  }

  test('a wrong password and an unknown user look alike, the name is kept, and the right password is not held up', async () => {
    const [wrong, unknown] = [await refused('alice'), await refused('nobody')];
    assert.equal(wrong.text, unknown.text);
    assert.match(wrong.text, /reference/);
    await wrong.person.page.fill('#password', 'alice-pw');
    await wrong.person.page.click('button[type=submit]');
    assert.ok((await wrong.person.mailbox()).includes('Willkommen auf Server A'));
    assert.deepEqual([wrong.person.complaints, unknown.person.complaints], [[], []]);
  });

  test('a link to a folder, with its #fragment, leads there by way of the sign-in page', async () => {
    const alice = await site.visitor();
    await alice.page.goto('/?_task=settings&_action=preferences#section-compose');
    assert.match(alice.page.url(), /\/-\/login\?next=/);
    await alice.fillIn('alice', 'alice-pw');
    await alice.page.waitForURL('**/?_task=settings&_action=preferences#section-compose');
    assert.equal(await alice.page.locator('#sections-table').count(), 1);
  });

  test('who prefers German reads German', async () => {
    const visitor = await site.visitor({ locale: 'de-DE' });
    await visitor.page.goto('/');
    assert.equal(await visitor.page.getAttribute('html', 'lang'), 'de');
    await visitor.fillIn('alice', 'falsch');
    assert.match(await visitor.page.innerText('#problem'), /ist falsch/);
    assert.deepEqual(visitor.complaints, []);
  });
});
