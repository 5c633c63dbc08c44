import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, suite, test } from 'node:test';
import type { FrameLocator, Page } from 'playwright-core';
import { lab as labCommand, withLab } from '../lab/lab.ts';
import type { Person } from './person.fixture.ts';
import { useSite } from './site.fixture.ts';

const lab = await withLab('a', 'b');

/** One of Roundcube's forms: a person opens it, writes a word into it, saves it, and looks whether it was kept. */
interface Form {
  readonly name: string;
  /** Opens the form anew, and resolves with its frame. */
  readonly open: (page: Page) => Promise<FrameLocator | Page>;
  readonly write: (form: FrameLocator | Page, word: string, page: Page) => Promise<void>;
  readonly save: (form: FrameLocator | Page, page: Page) => Promise<void>;
  /** Waits until the person is told that it was not; without it the page loads itself again. */
  readonly lost?: (page: Page) => Promise<void>;
  /** Waits until Roundcube says that it was saved. */
  readonly saved?: (page: Page) => Promise<void>;
  /** Whether a page that is opened anew shows the word; without it Roundcube's own word is enough. */
  readonly isKept?: (page: Page, word: string) => Promise<boolean>;
}

const confirmed = (page: Page): Promise<void> => page.locator('#messagestack .confirmation').first().waitFor();
const reloaded = (page: Page): Promise<void> => page.waitForURL(/_task=mail/);
const submit = (form: FrameLocator | Page): Promise<void> => form.locator('.formbuttons button.submit').click();

/** A form of the settings, in the frame beside a list. */
function inSettings(action: string, frame: string, pick: (page: Page) => Promise<void>) {
  return async (page: Page): Promise<FrameLocator> => {
    await page.goto(`/?_task=settings&_action=${action}`);
    await pick(page);
    const form = page.frameLocator(frame);
    await form.locator('.formbuttons button.submit').waitFor();
    return form;
  };
}

async function listed(page: Page, target: string, word: string): Promise<boolean> {
  await page.goto(target);
  await page.locator('#layout-list').waitFor();
  return (await page.locator('#layout-list', { hasText: word }).count()) > 0;
}

const openPreferences = inSettings('preferences', '#preferences-frame', (page) =>
  page.locator('#sections-table tr').first().click(),
);
const openIdentity = inSettings('identities', '#preferences-frame', (page) =>
  page.locator('#identities-table tbody tr').first().click(),
);

const vcard = (word: string): string =>
  `BEGIN:VCARD\r\nVERSION:3.0\r\nN:${word};Imported;;;\r\nFN:Imported ${word}\r\nEMAIL:${word}@example.test\r\nEND:VCARD\r\n`;

const forms: readonly Form[] = [
  {
    name: 'the preferences',
    open: openPreferences,
    write: async (form, word) => void (await form.locator('select[name=_timezone]').selectOption(zoneOf(word))),
    save: submit,
    isKept: async (page, word) =>
      (await (await openPreferences(page)).locator('select[name=_timezone]').inputValue()) === zoneOf(word),
  },
  {
    name: 'an identity',
    open: openIdentity,
    write: (form, word) => form.locator('input[name=_organization]').fill(word),
    save: submit,
    isKept: async (page, word) =>
      (await (await openIdentity(page)).locator('input[name=_organization]').inputValue()) === word,
  },
  {
    name: 'a folder',
    open: inSettings('folders', '#preferences-frame', (page) => page.click('a.create')),
    write: (form, word) => form.locator('input[name=_name]').fill(word),
    save: submit,
    isKept: (page, word) => listed(page, '/?_task=settings&_action=folders', word),
  },
  {
    name: 'a response',
    open: inSettings('responses', '#preferences-frame', (page) => page.click('a.create')),
    write: async (form, word) => {
      await form.locator('input[name=_name]').fill(word);
      await form.locator('textarea[name=_text]').fill('Thank you.');
    },
    save: submit,
    isKept: (page, word) => listed(page, '/?_task=settings&_action=responses', word),
  },
  {
    name: 'a contact',
    open: async (page) => {
      await page.goto('/?_task=addressbook');
      await page.click('a.create');
      const form = page.frameLocator('#contact-frame');
      await form.locator('.formbuttons button.submit').waitFor();
      return form;
    },
    write: (form, word) => form.locator('input[name=_firstname]').fill(word),
    save: submit,
    isKept: (page, word) => listed(page, '/?_task=addressbook', word),
  },
  {
    name: 'a group of contacts',
    open: async (page) => {
      await page.goto('/?_task=addressbook');
      await page.locator('#directorylist li.addressbook').first().waitFor();
      await page.waitForFunction('rcmail.commands["group-create"] && !rcmail.busy');
      await page.evaluate('rcmail.command("group-create")');
      return page;
    },
    write: (form, word) => form.locator('.ui-dialog input[type=text]').fill(word),
    save: (form) => form.locator('.ui-dialog button.mainaction').click(),
    isKept: async (page, word) => {
      await page.goto('/?_task=addressbook');
      return (await page.locator('#directorylist', { hasText: word }).count()) > 0;
    },
  },
  {
    name: 'contacts in a file',
    open: async (page) => {
      await page.goto('/?_task=addressbook');
      await page.locator('#directorylist li.addressbook').first().waitFor();
      await page.waitForFunction('rcmail.commands["import"] && !rcmail.busy');
      await page.evaluate('rcmail.command("import")');
      const form = page.frameLocator('.ui-dialog iframe');
      await form.locator('input[type=file]').waitFor();
      return form;
    },
    write: (form, word) =>
      form.locator('input[type=file]').setInputFiles({
        name: 'contacts.vcf',
        mimeType: 'text/vcard',
        // More than one contact.
        buffer: Buffer.from(`${vcard(word)}${vcard('x').repeat(20)}`),
      }),
    save: (_form, page) => page.locator('.ui-dialog button.import').click(),
    saved: (page) => page.frameLocator('.ui-dialog iframe').getByText('Successfully imported').waitFor(),
    isKept: async (page, word) => {
      await page.goto('/?_task=addressbook');
      await page.fill('#searchform', word);
      await page.press('#searchform', 'Enter');
      await page.locator('#contacts-table tr', { hasText: word }).waitFor();
      return true;
    },
  },
  {
    name: 'the password',
    open: async (page) => {
      await page.goto('/?_task=settings&_action=plugin.password');
      return page;
    },
    write: async (form) => {
      for (const name of ['_newpasswd', '_confpasswd']) await form.locator(`input[name=${name}]`).fill('alice-pw');
    },
    save: submit,
    lost: async (page) => {
      await page.locator('[role=alert]', { hasText: 'Nothing of what you sent was saved' }).locator('a').click();
      await page.locator('input[name=_newpasswd]').waitFor();
    },
  },
];

function newWord(): string {
  return `w${randomUUID().slice(0, 8)}`;
}

function zoneOf(word: string): string {
  return word > 'w8' ? 'Europe/Lisbon' : 'Europe/Madrid';
}

suite('Roundcube’s forms, in Chromium', { concurrency: false }, () => {
  const site = useSite(lab);

  // Others look at alice's folders, too.
  after(async () => {
    const made = await labCommand('doveadm', 'a', 'mailbox', 'list', '-u', 'alice@example.test');
    for (const name of made.split('\n').filter((line) => /^w[0-9a-f]{8}$/.test(line))) {
      await labCommand('doveadm', 'a', 'mailbox', 'delete', '-s', '-u', 'alice@example.test', name);
    }
  });

  async function withAlice(act: (alice: Person) => Promise<void>): Promise<void> {
    const alice = await site.visitor();
    await alice.signIn('alice', 'alice-pw');
    await act(alice);
    await alice.context.close();
  }

  for (const form of forms) {
    test(`${form.name}: saved`, async () => {
      await withAlice(async ({ page }) => {
        const word = newWord();
        const opened = await form.open(page);
        await form.write(opened, word, page);
        await form.save(opened, page);
        await (form.saved ?? confirmed)(page);
        assert.notEqual(await form.isKept?.(page, word), false);
      });
    });

    test(`${form.name}: saved by a page that is older than Roundcube’s session`, async () => {
      await withAlice(async ({ page }) => {
        const word = newWord();
        const opened = await form.open(page);
        await form.write(opened, word, page);
        await lab.expire('a');
        // The page's own sign of life heals the session, and the page still has the token of the one before.
        await Promise.all([page.waitForResponse(/_action=keep-alive/), page.evaluate('rcmail.keep_alive()')]);
        await form.save(opened, page);
        await (form.saved ?? confirmed)(page);
        assert.notEqual(await form.isKept?.(page, word), false);
      });
    });

    test(`${form.name}: that finds the session lost says that nothing was saved, and is saved when it is repeated`, async () => {
      await withAlice(async ({ page }) => {
        const word = newWord();
        let opened = await form.open(page);
        await form.write(opened, word, page);
        await lab.expire('a');
        await form.save(opened, page);
        await (form.lost ?? reloaded)(page);
        assert.equal(await page.locator('#login-form').count(), 0);
        opened = await form.open(page);
        await form.write(opened, word, page);
        await form.save(opened, page);
        await (form.saved ?? confirmed)(page);
        assert.notEqual(await form.isKept?.(page, word), false);
      });
    });
  }
});
