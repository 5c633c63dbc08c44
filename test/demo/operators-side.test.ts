import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { alice, bob, type Person } from '../../demo/people.ts';
import { eventually } from '../eventually.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { Browser, fieldsIn } from './browser.fixture.ts';
import { type RunningDemo, startDemo } from './running-demo.fixture.ts';

suite('the lines that the demo prints for a second terminal, in their order', { concurrency: false }, () => {
  let demo: RunningDemo;
  let hers: Browser;
  let his: Browser;
  const pasted: string[] = [];
  before(async () => {
    demo = await startDemo(['--port', String(await freePort())]);
    [hers, his] = [await signedIn(alice), await signedIn(bob)];
  });
  after(() => demo[Symbol.asyncDispose]());

  async function signedIn({ address, password }: Person): Promise<Browser> {
    const browser = new Browser(demo.origin);
    const form = fieldsIn(await browser.text('/-/login'));
    form.set('user', address);
    form.set('password', password);
    assert.equal((await browser.submit('/-/login', form)).path, '/mail/INBOX');
    return browser;
  }

  /** Pastes the line with these words, which must be the next one. */
  async function paste(words: string): Promise<string> {
    const line = demo.line(words);
    assert.equal(line, demo.lines[pasted.length], 'it is the next one');
    pasted.push(line);
    return demo.paste(line);
  }

  test('who is signed in: Alice on a, Bob on b, and nobody else', async () => {
    const [, ...rows] = (await paste('session list')).trim().split('\n');
    assert.equal(rows.pop(), '2 sessions of 2 users');
    const people = rows.map((row) => row.split(/ {2,}/).slice(1, 4).join(' '));
    assert.deepEqual(people.toSorted(), [`${alice.address} user a`, `${bob.address} user b`]);
  });

  test('a closed backend: Alice reads the words, Bob works on, and afterwards she is still signed in', async () => {
    assert.equal(await paste('backend set a MAINT'), 'a is MAINT for all nodes.\n');
    const closed = await hers.open('/mail/INBOX');
    assert.equal(closed.status, 503);
    assert.match(closed.body.toString(), /Back at six\./);
    assert.equal((await his.open('/mail/INBOX')).status, 200);
    assert.equal(await paste('backend set a READY'), 'a is READY for all nodes.\n');
    assert.match(await hers.text('/mail/INBOX'), /data-backend="a"[^]*alice@example\.test/);
  });

  test('a killed machine: the standby serves Alice her mail at her next click, and the list says so', async () => {
    const before = Number(/href="\/mail\/INBOX\/(\d+)"/.exec(await hers.text('/mail/INBOX'))?.[1]);
    await paste('kill ');
    await eventually(() => demo.output().includes('Machine a is gone'));
    const landed = await hers.open('/mail/INBOX');
    assert.equal(landed.status, 200);
    const page = landed.body.toString();
    assert.match(page, /host a\/2[^]*alice@example\.test/);
    assert.equal(Number(/href="\/mail\/INBOX\/(\d+)"/.exec(page)?.[1]), before, 'the same mail');
    const list = await paste('backend list');
    assert.match(list, /^a +a +DOWN +down: /m);
    assert.match(list, /^a +a\/2 \* +READY +up /m);
    assert.match(list, /^b +b \* +READY +up /m);
  });

  test('a move while Alice writes: her letter is not lost, and leaves from b', async () => {
    const page = await hers.text('/compose');
    assert.match(page, /data-backend="a"/);
    assert.equal(await paste('user move alice'), '1/1 alice: moved, a → b\n');
    // What the page's script does when she presses Send; the page itself is of the time before the move.
    const { token }: { token: string } = JSON.parse((await hers.fetched('/api/token')).body.toString());
    assert.notEqual(token, fieldsIn(page).get('token'));
    const letter = new FormData();
    for (const [name, value] of [
      ['token', token],
      ['to', bob.address],
      ['subject', 'Written on a, sent from b'],
    ] as const)
      letter.set(name, value);
    const sent = await hers.submit('/compose', letter);
    assert.equal(sent.path, '/mail/INBOX?sent=1');
    assert.match(sent.body.toString(), /data-backend="b"[^]*alice@example\.test/);
    assert.match(await his.text('/mail/INBOX'), /Written on a, sent from b/);
  });

  test('a draft whose page has no script comes back with its text', async () => {
    const letter = new FormData();
    for (const [name, value] of [
      ['token', 'of a session before'],
      ['to', bob.address],
      ['subject', 'Kept'],
      ['text', 'Word for word.'],
    ] as const)
      letter.set(name, value);
    const { status, body } = await hers.submit('/compose', letter);
    assert.equal(status, 403);
    assert.match(body.toString(), /Not sent:[^]*value="Kept"[^]*Word for word\./);
  });

  test('a kick: Alice is signed out, and reads who did it', async () => {
    assert.match(await paste('kick alice'), /^Sessions of alice@example\.test ended: 1, on the only node\.\n/);
    const landed = await hers.open('/mail/INBOX');
    assert.match(landed.path, /^\/-\/login/);
    assert.match(landed.body.toString(), /ended by the administrator/);
    assert.equal((await his.open('/mail/INBOX')).status, 200);
  });

  test('the audit has every act of the lines before, with its reason', async () => {
    const audit = await paste('audit list');
    for (const row of [
      /session-end +\S+ \(socket\) +alice@example\.test .*lost laptop/,
      /user-move .*a is full/,
      /failover .*from: a; to: a\/2/,
      /backend-state .*state: READY; reason: done/,
      /backend-state .*state: MAINT; reason: new disks/,
      /staff-enrolled +sam@example\.test/,
    ])
      assert.match(audit, row);
  });

  test('statistics: sign-ins and requests, by backend', async () => {
    const statistics = await paste('/metrics');
    assert.match(statistics, /^postern_logins_total\{result="signed-in",backend="a",webmail="form"\} 1$/m);
    assert.match(statistics, /^postern_requests_total\{backend="b",class="2xx"\} \d+$/m);
  });

  test('no line was left out', () => {
    assert.deepEqual(pasted, demo.lines);
  });
});
