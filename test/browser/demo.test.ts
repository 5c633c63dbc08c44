import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { alice, bob, type Person, sam } from '../../demo/people.ts';
import { startChromium } from '../chromium.fixture.ts';
import { type RunningDemo, startDemo } from '../demo/running-demo.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { complaintsOf } from './console.fixture.ts';

/** The part of the suites that they share: a demo, and Chromium. */
function useDemo(): { readonly demo: () => RunningDemo; readonly newContext: () => Promise<BrowserContext> } {
  const started = new AsyncDisposableStack();
  let demo: RunningDemo;
  let browser: Browser;
  before(async () => {
    demo = started.use(await startDemo(['--port', String(await freePort())]));
    browser = await startChromium();
    started.defer(() => browser.close());
  });
  after(() => started.disposeAsync());
  return {
    demo: () => demo,
    async newContext() {
      const context = await browser.newContext({ baseURL: demo.origin, locale: 'en-GB' });
      context.setDefaultTimeout(20_000);
      return context;
    },
  };
}

async function signIn(page: Page, { address, password }: Person): Promise<void> {
  await page.goto('/');
  await page.fill('#user', address);
  await page.fill('#password', password);
  await page.click('button[type=submit]');
}

suite('the demo, in Chromium', { concurrency: false }, () => {
  const { newContext } = useDemo();

  /** Signs in with a new browser, does something, and fails on any message of its console. */
  async function visit(person: Person, act: (page: Page) => Promise<void>): Promise<void> {
    const context = await newContext();
    const complaints = complaintsOf(context);
    try {
      const page = await context.newPage();
      await signIn(page, person);
      await page.waitForURL('**/mail/INBOX');
      await act(page);
      assert.deepEqual(complaints, []);
    } finally {
      await context.close();
    }
  }

  for (const person of [alice, bob]) {
    test(`${person.name} signs in, and the page says which backend it is from`, async () => {
      await visit(person, async (page) => {
        assert.equal(await page.innerText('.user'), person.address);
        assert.equal(await page.innerText('.brand .backend'), `backend ${person.backend}`);
        assert.equal(await page.innerText('footer strong'), person.backend);
      });
    });
  }

  test('a letter with an attachment goes from alice on a to bob on b', async () => {
    await visit(alice, async (page) => {
      await page.click('text=Write');
      await page.fill('[name=to]', bob.address);
      await page.fill('[name=subject]', 'Across, in a browser');
      await page.fill('textarea', 'With a file.');
      await page.setInputFiles('[type=file]', { name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.from('yeast') });
      await page.click('main button.primary');
      await page.waitForURL('**/mail/INBOX?sent=1');
    });
    await visit(bob, async (page) => {
      await page.click('text=Across, in a browser');
      const [download] = await Promise.all([page.waitForEvent('download'), page.click('.attachments a')]);
      assert.equal(download.suggestedFilename(), 'a.txt');
    });
  });

  test('“What arrived” shows a live poll, event stream and WebSocket, and a lost session is healed', async () => {
    await visit(alice, async (page) => {
      await page.click('nav >> text=What arrived');
      await page.locator('[data-live=socket]', { hasText: 'backend a' }).waitFor();
      await page.locator('[data-live=events]', { hasText: 'from backend a' }).waitFor();
      await page.locator('[data-live=poll]', { hasText: 'backend a:' }).waitFor();
      await page.click('text=Forget me');
      await page.waitForURL('**/arrived');
      assert.equal(await page.innerText('.user'), alice.address);
    });
  });

  test('signing out in the webmail ends it all: the way back shows the sign-in page', async () => {
    await visit(bob, async (page) => {
      await page.click('text=Sign out');
      await page.waitForURL('**/-/login*');
      await page.goBack();
      await page.waitForURL('**/-/login*');
      assert.equal(await page.locator('#password').count(), 1);
    });
  });
});

suite('the walk of the demo, in Chromium', { concurrency: false }, () => {
  const { demo, newContext } = useDemo();
  let complaints: readonly string[] = [];
  let hers: Page;
  let console: Page;

  const paste = (words: string): Promise<string> => demo().paste(demo().line(words));
  const badge = (): Promise<string> => hers.innerText('.brand .backend');

  test('backend a closes while Alice is signed in, opens again, and her page goes on by itself', async () => {
    const context = await newContext();
    complaints = complaintsOf(context);
    hers = await context.newPage();
    await signIn(hers, alice);
    await hers.waitForURL('**/mail/INBOX');
    await paste('MAINT');
    await hers.click('text=Sent');
    await hers.getByText('Back at six.').waitFor();
    await paste('READY');
    await hers.getByRole('heading', { name: 'Sent' }).waitFor();
    assert.equal(await badge(), 'backend a');
  });

  test('a machine is killed: Alice’s next click is answered by the standby', async () => {
    await paste('kill ');
    await hers.click('text=Inbox');
    await hers.getByRole('heading', { name: 'Inbox' }).waitFor();
    assert.equal(await badge(), 'host a/2');
    assert.equal(await hers.locator('.messages li').count(), 4);
    assert.match(await paste('backend list'), /a\/2 \* +READY/);
  });

  test('Alice is moved while she writes: her letter, with its file, leaves from b', async () => {
    await hers.click('text=Write');
    await hers.fill('[name=to]', bob.address);
    await hers.fill('[name=subject]', 'Written on a');
    await hers.fill('textarea', 'Sent from b.');
    await hers.setInputFiles('[type=file]', { name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.from('yeast') });
    await paste('user move');
    await hers.click('main button.primary');
    await hers.waitForURL('**/mail/INBOX?sent=1');
    assert.equal(await badge(), 'backend b');
    await hers.click('text=Sent');
    await hers.click('text=Written on a');
    assert.match(await hers.innerText('article'), /Sent from b\.[^]*a\.txt/);
  });

  test('Sam signs in to the console with the code on the screen, and opens Alice’s mailbox with the next', async () => {
    const staff = await newContext();
    const staffComplaints = complaintsOf(staff);
    console = await staff.newPage();
    await console.goto(demo().consoleOrigin);
    await console.fill('#user', sam.address);
    await console.fill('#password', sam.password);
    await console.click('button[type=submit].primary');
    const [first = ''] = demo().codes();
    await console.fill('#code', first);
    await console.click('button[type=submit].primary');
    await console.fill('[name=user]', 'alice');
    await console.getByRole('button', { name: 'Find' }).click();
    await console.fill('#reason', 'cannot find the letter');
    await console.fill(
      '#code',
      demo()
        .codes()
        .find((code) => code !== first) ?? '',
    );
    await console.click('button[value=open]');
    const [mailbox] = await Promise.all([staff.waitForEvent('page'), console.click('a.primary')]);
    await mailbox.locator('postern-assist').waitFor({ state: 'attached' });
    assert.equal(new URL(mailbox.url()).hostname, 'assist.localhost');
    assert.equal(await mailbox.innerText('.user'), alice.address);
    // Shown by the webmail's own script, beside that of the banner.
    await mailbox.getByRole('button', { name: 'Change spacing' }).waitFor();
    assert.deepEqual(staffComplaints, []);
  });

  test('a kick signs Alice out and leaves her draft on the page; then she reads who opened her mailbox', async () => {
    await hers.click('text=Write');
    await hers.fill('[name=to]', bob.address);
    await hers.fill('textarea', 'Not lost.');
    assert.match(await paste('kick alice'), /ended: 2, on the only node\./);
    await hers.click('main button.primary');
    await hers.getByText('Not sent: you were signed out.').waitFor();
    assert.equal(await hers.inputValue('textarea'), 'Not lost.');

    const other = await hers.context().newPage();
    await signIn(other, alice);
    await other.getByText('Your mailbox was opened by support').waitFor();
    assert.match(await other.innerText('main'), /sam@example\.test[^]*cannot find the letter/);
    await other.click('button.primary');
    await other.waitForURL('**/mail/INBOX');
    await hers.click('main button.primary');
    await hers.waitForURL('**/mail/INBOX?sent=1');
    assert.deepEqual(complaints, []);
  });

  test('the audit has it all, on the terminal and in the console', async () => {
    const printed = await paste('audit list');
    await console.goto(`${demo().consoleOrigin}/-/audit`);
    const shown = await console.innerText('table');
    for (const words of ['lost laptop', 'cannot find the letter', 'a is full', 'new disks']) {
      assert.ok(printed.includes(words), words);
      assert.ok(shown.includes(words), words);
    }
  });
});
