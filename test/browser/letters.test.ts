import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { suite, test } from 'node:test';
import { withLab } from '../lab/lab.ts';
import { useSite } from './site.fixture.ts';
import { removeLetters } from './tidy-up.fixture.ts';

const lab = await withLab('a', 'b');

suite('mail goes from one home server to another, in Chromium', { concurrency: false }, () => {
  const site = useSite(lab);
  const subject = `Grüße von a nach b ${randomUUID()}`;
  removeLetters(subject);

  test('alice writes to bob, with an attachment, and he opens it in his browser', async () => {
    const [alice, bob] = [await site.visitor(), await site.visitor()];
    const content = randomBytes(300_000);
    await alice.signIn('alice', 'alice-pw');
    await alice.startWriting();
    const attachment = { name: 'Pläne.bin', content };
    await alice.write({ to: 'bob@example.test', subject, text: 'Schöne Grüße, 日本語', attachment });
    await alice.sendAway();

    await bob.signIn('bob', 'bob-pw');
    await bob.receives(subject);
    const preview = await bob.read(subject);
    assert.equal((await preview.locator('#messagebody').innerText()).trim(), 'Schöne Grüße, 日本語');
    const download = await bob.save(preview, 'Pläne.bin');
    assert.equal(download.suggestedFilename(), 'Pläne.bin');
    assert.ok((await readFile(await download.path())).equals(content));
    assert.deepEqual([alice.complaints, bob.complaints], [[], []]);
  });
});
