import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { alice, bob, greta, sam } from '../../demo/people.ts';
import { type AskApi, openApi } from '../../src/cli/api-client.ts';
import { startChromium } from '../chromium.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { type StaffSite, startStaffSite } from '../gateway/staff-site.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { connects, startProgram } from '../programs.ts';
import { assertAccessible, assertNarrow, complaintsOf, picture } from './console.fixture.ts';

/** From where the balancer in front of the gateway connects: an address of its own, which the gateway trusts. */
const balancer = '127.0.0.9';
const withAndWithout = [
  ['without JavaScript', false],
  ['with JavaScript', true],
] as const;

/** The names in the first column of the table. */
const names = (page: Page) => page.locator('tbody th').allInnerTexts();

suite('an operator at the console of a running gateway, in Chromium', { concurrency: false }, () => {
  const started = new AsyncDisposableStack();
  let folder: string;
  let site: StaffSite;
  let ask: AskApi;
  let browser: Browser;
  let signedIn: Awaited<ReturnType<BrowserContext['storageState']>>;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'postern-operators-'));
    started.defer(() => rm(folder, { recursive: true, force: true }));
    const noted = `echo "$1 $2 $3" >> ${folder}/carried`;
    // A move takes as long as this program: until the test opens the gate.
    const carry = `#!/bin/sh\n${noted}\nwhile [ ! -e ${folder}/gate ]; do sleep 0.05; done\n`;
    await writeFile(join(folder, 'carry'), carry, { mode: 0o755 });
    const more = `trusted_proxies: [${balancer}]\nmoves: { before: ${folder}/carry }\n`;
    site = started.use(await startStaffSite((yaml) => yaml + more));
    ask = await openApi(site.gateway.configFile, { env: process.env });
    const { port } = site.gateway;
    const between = await freePort();
    const haproxy = [
      'defaults',
      '  mode http',
      '  timeout connect 5s',
      '  timeout client 60s',
      '  timeout server 60s',
      'listen gateway',
      `  bind 127.0.0.1:${between}`,
      '  option forwardfor',
      '  http-request set-header X-Forwarded-Proto http',
      `  source ${balancer}`,
      `  server node 127.0.0.1:${port}`,
      '',
    ];
    await writeFile(join(folder, 'haproxy.cfg'), haproxy.join('\n'));
    const file = join(folder, 'haproxy.cfg');
    started.use(await startProgram('haproxy', ['-db', '-f', file], { isReady: () => connects(between) }));
    browser = await startChromium(`--host-resolver-rules=MAP *.localhost:${port} 127.0.0.1:${between}`);
    started.defer(() => browser.close());
  });
  after(() => started.disposeAsync());

  /** Opens a page in a browser of its own, and fails on anything that it complains of. */
  async function visit(
    path: string,
    options: BrowserContextOptions,
    act: (page: Page) => Promise<void>,
  ): Promise<void> {
    const viewport = { width: 1280, height: 800 };
    const context = await browser.newContext({ viewport, locale: 'en-GB', ...options });
    context.setDefaultTimeout(10_000);
    const complaints = complaintsOf(context);
    try {
      const page = await context.newPage();
      await page.goto(site.hosts.console + path);
      await act(page);
      assert.deepEqual(complaints, []);
    } finally {
      await context.close();
    }
  }

  /** Opens a page as sam, who has signed in before. */
  const asSam = (path: string, javaScriptEnabled: boolean, act: (page: Page) => Promise<void>) =>
    visit(path, { storageState: signedIn, javaScriptEnabled, colorScheme: 'light' }, act);

  /** Holds the page, as it is, against axe, in light and in dark on a narrow screen. */
  async function assertForEverybody(path: string): Promise<void> {
    await asSam(path, true, async (page) => {
      await assertAccessible(page);
      await assertNarrow(page);
    });
  }

  /** What the audit says of an event: to whom and why, the newest first. */
  async function audited(event: string): Promise<readonly unknown[]> {
    const { body } = await ask('GET', `/audit?event=${event}&actor=${sam.address}&limit=20`);
    const { lines = [] }: { lines?: readonly { subject: string; facts: Record<string, unknown> }[] } = body;
    return lines.map(({ subject, facts }) => [subject, facts['reason']]);
  }

  test('signs in, and can look at the password, hears of Caps Lock, and sends the form once', async () => {
    await visit('/-/login', {}, async (page) => {
      await page.fill('#user', 'sam');
      await page.fill('#password', sam.password);
      await page.getByRole('button', { name: 'Show password' }).click();
      assert.equal(await page.getAttribute('#password', 'type'), 'text');
      await page.getByRole('button', { name: 'Show password' }).click();
      // Playwright's keyboard has no lock: the event is as Chromium makes it while the lock is on.
      await page.evaluate(
        "document.getElementById('password').dispatchEvent(new KeyboardEvent('keydown', { modifierCapsLock: true }))",
      );
      await page.getByText('Caps Lock is on.').waitFor();
      await assertAccessible(page);
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('heading', { name: 'Second factor' }).waitFor();
      await page.fill('#code', site.code());
      let sent = 0;
      page.on('request', (request) => void (request.method() === 'POST' && (sent += 1)));
      // Both presses come before the answer; the second finds the form busy.
      const busy = await page.evaluate(
        "const [form] = document.forms.length > 1 ? [document.forms[1]] : document.forms; const button = form.querySelector('button'); button.click(); button.click(); button.textContent",
      );
      assert.equal(busy, 'Working …');
      await page.waitForURL('**/-/users');
      assert.equal(sent, 1);
      signedIn = await page.context().storageState();
    });
  });

  for (const [how, hasScripts] of withAndWithout) {
    test(`finds sessions by user and backend, and ends one, then all of a backend, ${how}`, async () => {
      const people = [alice, bob, greta];
      const browsers = await Promise.all(people.map((one) => site.gateway.signIn(one.address, one.password)));
      await asSam('/-/sessions?kind=user', hasScripts, async (page) => {
        assert.deepEqual((await names(page)).toSorted(), people.map(({ address }) => address).toSorted());
        await page.getByLabel('User').fill('alice');
        await page.getByRole('button', { name: 'Show' }).click();
        await page.waitForURL(/user=alice/);
        assert.deepEqual(await names(page), [alice.address]);
        await page.getByLabel('Reason for ending').fill('a lost laptop');
        await page.getByRole('button', { name: /^End session \S+ of alice/ }).click();
        await page.getByText('One session was ended.').waitFor();
        await page.goto(`${site.hosts.console}/-/sessions?backend=b&kind=user`);
        await page.getByLabel('Reason for ending').fill('b is taken apart');
        await page.getByRole('button', { name: 'End all that match' }).click();
        await page.getByText('2 sessions of 2 people').waitFor();
        await page.getByRole('button', { name: 'Yes, end 2 sessions' }).click();
        await page.getByText('2 sessions were ended.').waitFor();
        assert.deepEqual(await names(page), []);
      });
      const landed = await Promise.all(browsers.map(({ browser: one }) => one.open('/mail/INBOX')));
      assert.deepEqual(
        landed.map(({ path }) => path.split('?')[0]),
        people.map(() => '/-/login'),
      );
      const [first, second, third] = (await audited('session-end')).slice(0, 3);
      assert.deepEqual(third, [alice.address, 'a lost laptop']);
      const all = [first, second].map((line) => String(line)).toSorted();
      assert.deepEqual(all, [`${bob.address},b is taken apart`, `${greta.address},b is taken apart`]);
    });

    test(`sees who is slowed down after wrong passwords, and lifts that, ${how}`, async () => {
      // The same wrong password again would not count.
      await site.gateway.signIn('bob', `wrong ${how}`);
      if (hasScripts) await assertForEverybody('/-/penalties');
      await asSam('/-/penalties?user=bob', hasScripts, async (page) => {
        assert.ok((await names(page)).includes(bob.address));
        const lift = page.getByRole('button', { name: `Lift the penalty of ${bob.address}` });
        for (let left = await lift.count(); left > 0; left -= 1) {
          await page.getByLabel('Reason for lifting').fill('forgot the new password');
          await lift.first().click();
          await page.getByText('One penalty was lifted.').waitFor();
          await page.goto(`${site.hosts.console}/-/penalties?user=bob`);
          assert.equal(await lift.count(), left - 1);
        }
        await page.getByText('Nobody is slowed down.').waitFor();
      });
      assert.deepEqual((await audited('penalty-lifted'))[0], [bob.address, 'forgot the new password']);
    });

    test(`follows a move through its program, moves the user back, and stops another, ${how}`, async () => {
      await rm(join(folder, 'gate'), { force: true });
      await rm(join(folder, 'carried'), { force: true });
      const carried = () => readFile(join(folder, 'carried'), 'utf8').catch(() => '');
      const order = { to: 'b', reason: 'a is full' };
      await ask('POST', `/users/${greta.address}/move`, { to: 'a', reason: 'a test', at_sign_in: true });
      const moved = ask('POST', `/users/${alice.address}/move`, order);
      await eventually(async () => (await carried()) !== '');
      await asSam('/-/moves', hasScripts, async (page) => {
        assert.deepEqual((await names(page)).toSorted(), [alice.address, greta.address]);
        await page.getByText('0 of 2 done').waitFor();
        assert.match(await page.locator('tr', { hasText: alice.address }).innerText(), /a → b\s+before/);
        if (hasScripts) {
          await page.getByText('Live: renewed').waitFor();
          await picture(page, 'console-moves');
        }
        await page.getByLabel('Reason for stopping').fill('not today');
        await page.getByRole('button', { name: `Stop the move of ${greta.address}` }).click();
        await page.getByText('The move was stopped.').waitFor();
        await writeFile(join(folder, 'gate'), '');
        assert.equal((await moved).body['outcome'], 'moved');
        if (hasScripts) {
          await page.mouse.move(0, 0);
          await page.getByText('1 of 2 done').waitFor();
          await page.getByRole('button', { name: `Move back ${alice.address} to a` }).waitFor();
        }
        await page.goto(`${site.hosts.console}/-/moves?phase=done`);
        await page.getByText('1 of 2 done').waitFor();
        await page.getByLabel('Reason for stopping').fill('b is slower');
        await page.getByRole('button', { name: `Move back ${alice.address} to a` }).click();
        await page.getByText('The way back has begun').waitFor();
        await eventually(async () => {
          await page.goto(`${site.hosts.console}/-/moves?user=alice&phase=done`);
          return /b → a\s+done/.test(await page.locator('main').innerText());
        });
      });
      assert.equal(await carried(), `${alice.address} a b\n${alice.address} b a\n`);
      assert.deepEqual((await audited('user-move')).slice(0, 2), [
        [alice.address, 'b is slower'],
        [greta.address, 'not today'],
      ]);
      if (hasScripts) await assertForEverybody('/-/moves');
    });
  }

  test('sees the way of a user, with each station, and how long those that are asked took', async () => {
    await site.gateway.signIn(alice.address, alice.password);
    await asSam(`/-/route?user=${alice.address}`, true, async (page) => {
      const stations = page.locator('.way li');
      await eventually(async () => {
        await page.reload();
        return (await page.locator('.way .took').count()) === 3;
      });
      assert.deepEqual(await stations.locator('.reference').allInnerTexts(), [
        'Client',
        'Balancer',
        'Node',
        'Directory',
        'Backend a, IMAP',
        'Webmail form',
      ]);
      for (const [at, words] of [
        [0, /^Client\s+127\.0\.0\.1\s+signed-in \d+ s ago/],
        [1, /127\.0\.0\.9\s+as your own request came/],
        [2, /this node/],
        [3, /1 map\s+home a\s+[\d.]+ ms/],
        [4, /127\.0\.0\.1:\d+\s+up, checked \d+ s ago; a is READY\s+[\d.]+ ms/],
        [5, /http:\/\/127\.0\.0\.1:\d+\s+up, checked \d+ s ago\s+[\d.]+ ms/],
      ] as const)
        assert.match(await stations.nth(at).innerText(), words);
      await picture(page, 'console-route');
      await assertAccessible(page);
      await assertNarrow(page);
    });
  });

  test('sees a backend, and is asked before maintenance, with what people there will read', async () => {
    await asSam('/-/backend?name=a', true, async (page) => {
      await picture(page, 'console-backend');
      await page.getByLabel('Maintenance: nobody is served').check();
      await page.getByLabel('Reason').first().fill('new disks');
      await page.getByLabel('Expected until').fill(new Date(Date.now() + 7_260_000).toISOString().slice(0, 16));
      await page.getByLabel('Users read, in English').fill('Back at six.');
      await page.getByLabel('Users read, in Deutsch').fill('Um sechs geht es weiter.');
      await page.getByRole('button', { name: 'Apply' }).click();
      await page.getByText('1 person is signed in there').waitFor();
      await picture(page, 'console-maintenance');
      await assertAccessible(page);
      await page.getByRole('button', { name: /^Yes/ }).click();
      await page.getByText('The state was set to maintenance.').waitFor();
      assert.equal(await page.locator('time').innerText(), 'in 2 h');
      await assertAccessible(page);
    });
    assert.equal((await ask('PUT', '/backends/a/state', { state: 'READY', reason: 'a test' })).status, 200);
  });

  test('opens a mailbox, and sees in words when that ends; the code of the sign-in does not count again', async () => {
    await asSam('/-/users?user=alice', true, async (page) => {
      await page.fill('#reason', 'cannot find a letter');
      await page.fill('#code', '000000');
      await page.getByRole('button', { name: 'Open mailbox' }).click();
      await page.getByText('This code is wrong.').waitFor();
      assert.equal(await page.getAttribute('#code', 'aria-describedby'), 'problem code-hint');
      await page.fill('#code', site.code());
      await page.getByRole('button', { name: 'Open mailbox' }).click();
      await page.getByText(/^The link is good for another \d+ seconds\.$/).waitFor();
      const link = page.getByRole('link', { name: `Open the mailbox of ${alice.address}` });
      const [tab] = await Promise.all([page.context().waitForEvent('page'), link.click()]);
      await tab.locator('postern-assist').waitFor({ state: 'attached' });
      await page.goto(`${site.hosts.console}/-/opened`);
      assert.match(await page.locator('time').innerText(), /^in 1\d min$/);
      assert.match((await page.getAttribute('time', 'title')) ?? '', /^\d{4}-\d\d-\d\d \d\d:\d\d UTC$/);
      await assertAccessible(page);
      await page.getByRole('link', { name: 'Mailboxes that anybody' }).click();
      await page.getByText(`opened by ${sam.address}, ends in 1`).waitFor();
      await assertAccessible(page);
      await assertNarrow(page);
    });
  });
});
