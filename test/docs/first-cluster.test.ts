import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { startChromium } from '../chromium.fixture.ts';
import { type Machine, type Machines, startMachines } from './cluster-machines.fixture.ts';
import { comparable, commandsIn } from './commands.fixture.ts';
import { type Block, blocksOf } from './pages.fixture.ts';

/** A part of loopback for this run: the page's 10.0.0.x are 127.x.0.x. */
const network = `127.${100 + (process.pid % 100)}.0.`;

/** The text for a machine: with addresses of loopback, and on mail-b as the page says for it. */
function textFor(machine: string, text: string): string {
  const own = machine === 'mail-b' ? text.replaceAll('10.0.0.11', '10.0.0.12').replaceAll('alice', 'bob') : text;
  return own
    .split('\n')
    .map((line) =>
      // Whoever connects to an address of loopback comes from 127.0.0.1.
      /allow |trusted|whitelist/.test(line) ? line.replace(/10\.0\.0\.\d+/g, '127.0.0.1') : line,
    )
    .join('\n')
    .replaceAll('10.0.0.', network)
    .replaceAll(String.raw`10\.0\.0\.`, network.replaceAll('.', String.raw`\.`));
}

/** Where a block belongs: on which machines, and as which file. */
function placesOf({ file = '' }: Block): readonly (readonly [machine: string, path: string | undefined])[] {
  return file
    .split(' ')
    .map((place) => place.split(':'))
    .map(([machine = '', path]) => [machine, path] as const);
}

/** Where all processors are busy, servers answer later than the deadlines of check: then the block is run again. */
async function runPatiently(machine: Machine, script: string): Promise<void> {
  const attempts = script.includes('check --online') ? 4 : 1;
  for (let attempt = 1; ; attempt += 1) {
    try {
      await machine.run(script);
      return;
    } catch (error) {
      if (attempt >= attempts) throw error;
    }
  }
}

describe('docs/first-cluster.md', { concurrency: false }, () => {
  const machines = ['mail-a', 'mail-b', 'front', 'gw1', 'gw2'];
  const blocks = blocksOf('docs/first-cluster.md');
  const untilDrain = blocks.slice(
    0,
    blocks.findIndex(({ text }) => text.includes('postern drain')),
  );
  const [drain, stop, look, back, ...others] = blocks.slice(untilDrain.length);
  let cluster: Machines;
  let browser: Browser;
  let alice: Page;

  before(async () => {
    cluster = await startMachines(machines);
    browser = await startChromium(`--host-resolver-rules=MAP webmail.example.org ${network}20`);
  });
  after(async () => {
    await browser?.close();
    await cluster?.[Symbol.asyncDispose]();
  });

  async function follow(block: Block | undefined): Promise<void> {
    assert.ok(block !== undefined);
    for (const [name, path] of placesOf(block)) {
      const machine = cluster.named.get(name);
      assert.ok(machine !== undefined, `${block.at}: on which machine?`);
      if (path !== undefined) {
        await machine.run(`cat > ${path} <<'WHOLE FILE'\n${textFor(name, block.text)}WHOLE FILE`);
      } else if (block.language === 'console') {
        for (const { text, output } of commandsIn(block)) {
          const said: string = await machine.run(textFor(name, text));
          if (output !== '') assert.equal(comparable(said), comparable(output ?? ''), block.at);
        }
      } else {
        await runPatiently(machine, `set -e\n${textFor(name, block.text)}`);
      }
    }
  }

  it('leads to two nodes before two backends', async () => {
    for (const block of untilDrain) await follow(block);
    assert.deepEqual(others, []);
  });

  for (const [user, home] of [
    ['bob', '12'],
    ['alice', '11'],
  ] as const) {
    it(`lets ${user} in, at ${network}${home}`, async () => {
      const context = await browser.newContext({ ignoreHTTPSErrors: true });
      const page = await context.newPage();
      await page.goto('https://webmail.example.org/');
      await page.fill('input[name=user]', user);
      await page.fill('input[name=password]', 'wonderland');
      await page.press('input[name=password]', 'Enter');
      await page.locator('#mailboxlist li.inbox').waitFor();
      if (user === 'alice') alice = page;
      const gateway = cluster.named.get('gw1');
      const backend = user === 'alice' ? 'a' : 'b';
      assert.match((await gateway?.run(`postern who ${user}`)) ?? '', new RegExp(`lives on ${backend}\\.`));
    });
  }

  it('keeps alice signed in while one node drains, stops, and comes back', async () => {
    for (const block of [drain, stop]) {
      await follow(block);
      await alice.reload();
      await alice.locator('#mailboxlist li.inbox').waitFor();
    }
    await follow(look);
    await follow(back);
    await alice.reload();
    await alice.locator('#mailboxlist li.inbox').waitFor();
  });
});
