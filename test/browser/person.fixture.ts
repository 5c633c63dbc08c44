import assert from 'node:assert/strict';
import type { BrowserContext, Download, FrameLocator, Page } from 'playwright-core';
import { complaintsOf } from './console.fixture.ts';

/** A letter that a person writes. */
export interface Letter {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly attachment?: { readonly name: string; readonly content: Buffer };
}

/** A person at a browser window, who reads and writes mail in Roundcube by looking and clicking. */
export class Person {
  readonly context: BrowserContext;
  readonly page: Page;
  /** All unexpected console messages of all windows of this browser. */
  readonly complaints: readonly string[];

  constructor(context: BrowserContext, page: Page) {
    this.context = context;
    this.page = page;
    this.complaints = complaintsOf(context);
  }

  /** Opens another tab of the same browser. */
  async tab(): Promise<Person> {
    return new Person(this.context, await this.context.newPage());
  }

  /** Fills in the gateway's form, wherever it is now shown. */
  async fillIn(user: string, password: string): Promise<void> {
    await this.page.fill('#user', user);
    await this.page.fill('#password', password);
    await this.page.click('button[type=submit]');
  }

  /** Signs in at the gateway, and waits for the mailbox. */
  async signIn(user: string, password: string): Promise<void> {
    await this.page.goto('/');
    await this.fillIn(user, password);
    await this.page.waitForURL(/_task=mail/);
    await this.mailbox();
  }

  /** Waits for a list of messages, and resolves with their subjects. */
  async mailbox(): Promise<readonly string[]> {
    await this.page.locator('#messagelist tr.message').first().waitFor();
    return this.page.locator('#messagelist tr.message span.subject a').allInnerTexts();
  }

  async folders(): Promise<readonly string[]> {
    return this.page.locator('#mailboxlist li a').allInnerTexts();
  }

  /** Opens a message of the list, and resolves with its preview. */
  async read(subject: string): Promise<FrameLocator> {
    await this.page.locator('#messagelist tr.message', { hasText: subject }).first().click();
    const preview = this.page.frameLocator('#messagecontframe');
    await preview.locator('#message-header', { hasText: subject }).waitFor();
    return preview;
  }

  /** Saves an attachment of the open message. */
  async save(preview: FrameLocator, file: string): Promise<Download> {
    const [download] = await Promise.all([
      this.page.waitForEvent('download'),
      preview.locator('#attachment-list a.filename', { hasText: file }).click(),
    ]);
    return download;
  }

  /** Opens the compose page. */
  async startWriting(): Promise<void> {
    await this.page.click('#taskmenu a.compose');
    await this.page.waitForURL(/_action=compose/);
    await this.page.locator('#compose-subject').waitFor();
  }

  /** Types a letter without sending it. */
  async write(letter: Letter): Promise<void> {
    const recipients = this.page.locator('#compose_to .recipient-input input');
    await recipients.pressSequentially(`${letter.to},`);
    await this.page.fill('#compose-subject', letter.subject);
    await this.page.locator('#composebody').pressSequentially(letter.text);
    const { attachment } = letter;
    if (attachment === undefined) return;
    const { name, content } = attachment;
    await this.page.setInputFiles('#uploadformInput', { name, mimeType: 'application/octet-stream', buffer: content });
    await this.page.locator('#attachment-list li:not(.uploading)', { hasText: name }).waitFor();
  }

  /** The letter on the compose page. */
  async written(): Promise<Pick<Letter, 'subject' | 'text'>> {
    return {
      subject: await this.page.inputValue('#compose-subject'),
      text: await this.page.inputValue('#composebody'),
    };
  }

  /** Restores the letter that Roundcube has kept and offers. */
  async restore(letter: Letter): Promise<void> {
    await this.page.locator('.ui-dialog', { hasText: letter.subject }).locator('button.restore').click();
    assert.deepEqual(await this.written(), { subject: letter.subject, text: letter.text });
  }

  async send(): Promise<void> {
    await this.page.click('.formbuttons button.send');
  }

  /** Sends the letter, and waits for Roundcube's confirmation. */
  async sendAway(): Promise<void> {
    await this.send();
    await this.page.waitForURL((url) => url.searchParams.get('_action') !== 'compose');
    await this.mailbox();
  }

  /** Checks for new mail until this subject arrives. */
  async receives(subject: string): Promise<void> {
    const message = this.page.locator('#messagelist tr.message', { hasText: subject });
    for (let looks = 0; looks < 20 && (await message.count()) === 0; looks += 1) {
      await this.page.reload();
      await this.mailbox();
    }
    assert.ok((await message.count()) > 0, `no mail “${subject}” has come`);
  }
}
