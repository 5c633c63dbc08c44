import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fieldsIn } from '../demo/browser.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { startRecordingBackend } from '../proxy/gate.fixture.ts';
import { type RunningGateway, startRunning } from './running.fixture.ts';

const alice = 'alice@example.test';

/** Acts as if she had changed it in the webmail: the mail server and the webmail know only the new one. */
function changePassword({ backends }: RunningGateway, password: string): void {
  const home = backends.all.find(({ name }) => name === 'a');
  assert.ok(home !== undefined);
  Object.assign(home.imap.account(alice), { password });
  home.webmail.expire(alice);
}

describe('a password that was changed in the webmail', () => {
  it('ends the session with that text, is tried once, and raises no penalty', async () => {
    await using running = await startRunning((yaml) => yaml.replace('login:\n', 'login:\n  refusal_after: 0s\n'));
    const { browser, landed } = await running.signIn('alice', 'wonderland');
    assert.equal(landed.path, '/mail/INBOX');
    const imap = running.backends.all[0]?.imap;
    changePassword(running, 'looking-glass');
    const before = imap?.logins.length ?? 0;

    const pages = await Promise.all(Array.from({ length: 5 }, () => browser.open('/mail/INBOX')));
    for (const page of pages) {
      assert.match(page.path, /^\/-\/login\?next=%2Fmail%2FINBOX&ended=password-changed$/);
      assert.match(page.body.toString(), /Your password was changed\. Please sign in with the new one\./);
    }
    assert.match((await browser.open('/compose')).path, /^\/-\/login/);
    const tried = imap?.logins.slice(before) ?? [];
    assert.equal(tried.length, 1, 'the old password was tried once more, and never again');

    const form = fieldsIn(await browser.text('/-/login'));
    form.set('user', 'alice');
    form.set('password', 'looking-glass');
    assert.equal((await browser.submit('/-/login', form)).path, '/mail/INBOX');
    const last = running.logged.findLast(({ event }) => event === 'login');
    const { penalty = 0 } = Object(last?.fields['ms']);
    assert.ok(penalty < 1900, `the shortest penalty is 2 s, and ${penalty} ms were waited`);
  });
});

/** A webmail with only what the demo's form settings know. Each sign-in gets a session of its own. */
function startTinyWebmail() {
  let sessions = 0;
  const form = '<form action="/logout" method="post"><input name="user"><input name="password" type="password"></form>';
  return startRecordingBackend((request, response) => {
    if (request.method === 'POST' && request.url === '/login') {
      sessions += 1;
      response.setHeader('Set-Cookie', `demo_session=s${sessions}; Path=/; HttpOnly`);
      response.writeHead(303, { Location: '/mail/' }).end();
    } else {
      response.setHeader('Content-Type', 'text/html');
      response.end(request.url === '/login' ? form.replace('/logout', '/login') : form);
    }
  });
}

describe('a session that others end', () => {
  it('is signed out of its webmail too, where the node had its cookies open', async () => {
    await using webmail = await startTinyWebmail();
    await using running = await startRunning((yaml) =>
      yaml
        .replace(/( {2}a: .*webmail: )"[^"]*"/, `$1"http://127.0.0.1:${webmail.port}/"`)
        .concat('sessions: { max_per_user: 1 }\n'),
    );
    const first = await running.signIn('alice', 'wonderland');
    const second = await running.signIn('alice', 'wonderland');
    assert.match((await first.browser.open('/mail/')).path, /ended=too-many/);
    const logouts = () => webmail.seen.filter(({ method, target }) => method === 'POST' && target === '/logout');
    await eventually(() => logouts().length > 0);
    assert.deepEqual(
      logouts().map(({ fields }) => fields.find((field) => field.startsWith('demo_session='))),
      ['demo_session=s1'],
    );
    assert.equal((await second.browser.open('/mail/')).status, 200);
  });
});
