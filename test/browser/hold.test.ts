import assert from 'node:assert/strict';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { startChromium } from '../chromium.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { startStandbySite } from '../gateway/standby-site.fixture.ts';

test('who is being moved sees a page that counts down and goes on by itself, and a sign-in counts down, too', async () => {
  await using site = await startStandbySite();
  const folder = dirname(site.configFile);
  const carried = join(folder, 'carried');
  writeFileSync(join(folder, 'before'), `#!/bin/sh\nwhile [ ! -e ${carried} ]; do sleep 0.05; done\n`);
  chmodSync(join(folder, 'before'), 0o755);
  writeFileSync(site.configFile, `${readFileSync(site.configFile, 'utf8')}moves: { before: before }\n`);
  await site.gateway.reload();
  const browser = await startChromium();
  try {
    const signIn = async () => {
      const page = await browser.newPage({ locale: 'en-GB', baseURL: `http://127.0.0.1:${site.gateway.ports.public}` });
      await page.goto('/-/login');
      await page.fill('#user', 'alice');
      await page.fill('#password', 'wonderland');
      await page.click('button[type=submit]');
      return page;
    };
    const page = await signIn();
    await page.waitForSelector('text=backend one');
    const move = site.api('POST', '/users/alice/move', { to: 'b', reason: 'a test' });
    await eventually(async () => {
      await page.goto('/mail/INBOX');
      return (await page.title()).startsWith('Your mailbox is moving');
    }, 'alice is held');
    const line = page.locator('[data-count-down]');
    assert.match(await line.innerText(), /Checking again in (1 second|[23] seconds)\./);
    await page.waitForSelector('text=in 1 second.');

    const other = await signIn();
    await other.waitForSelector('#problem >> text=You can try again in 9 seconds.');

    writeFileSync(carried, '');
    assert.equal((await move).body.outcome, 'moved');
    await page.waitForSelector('text=backend three');
  } finally {
    await browser.close();
  }
});
