import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { masterPassword, type OwnDovecot, startDovecot } from './own-dovecot.fixture.ts';
import { entrySettings, type OwnRoundcube, startRoundcube } from './own-roundcube.fixture.ts';
import { createAsking, key } from './roundcube-browser.fixture.ts';
import { type SmtpSink, startSmtpSink } from './smtp-sink.fixture.ts';

const alice = 'alice@example.test';
const users = { [alice]: 'alice-pw', 'mia@example.test': 'mia-pw' };
const alicesSession = 'user=alice%40example.test';

const running = new AsyncDisposableStack();
let dovecot: OwnDovecot;
let roundcube: OwnRoundcube;
let smtp: SmtpSink;

before(async () => {
  const directory = await mkdtemp(join(tmpdir(), 'postern-roundcube-'));
  running.defer(() => rm(directory, { recursive: true }));
  dovecot = await startDovecot(directory, users);
  running.defer(() => dovecot.stop());
  smtp = running.use(await startSmtpSink());
  roundcube = await startRoundcube(directory, [
    `$config['smtp_host'] = '127.0.0.1:${smtp.port}';`,
    "$config['smtp_user'] = '%u';",
    "$config['smtp_pass'] = '%p';",
    ...entrySettings(`127.0.0.1:${dovecot.port}`, masterPassword),
    "$config['postern_support_cid'] = 'support';",
    `$config['postern_support_pw'] = '${masterPassword}';`,
  ]);
  running.defer(() => roundcube.stop());
});

after(() => running.disposeAsync());

/** A user who was entered, with the request token of the page. */
async function entered(user = alice, session = 'session-1') {
  const { ask, forgetCookies } = createAsking(roundcube.origin, session);
  const first = await ask('/?_task=mail', { user });
  const page = await ask('/?_task=mail', { user });
  const token = /"request_token":"([0-9a-f]{32})"/.exec(page.text)?.[1];
  assert.ok(token !== undefined);
  return { ask, forgetCookies, first, page, token };
}

test('a signed request opens the mailbox without a password, at the page that was asked for', async () => {
  const { ask } = createAsking(roundcube.origin);
  const target = '/?_task=mail&_mbox=INBOX&_search=%C3%A4%20b';
  const first = await ask(target, { user: alice, fields: { 'x-forwarded-for': '203.0.113.77' } });
  assert.deepEqual([first.status, first.location, first.session], [307, target, alicesSession]);
  const page = await ask(target, { user: alice });
  assert.deepEqual([page.status, page.session], [200, alicesSession]);
  assert.match(page.text, /"task":"mail"/);
  assert.deepEqual(roundcube.userNames(), [alice]);
});

test('the IMAP server learns the address of the browser, and who acts for whom', async () => {
  const { ask } = createAsking(roundcube.origin);
  await ask('/?_task=mail', { user: alice, fields: { 'x-forwarded-for': '203.0.113.78' } });
  assert.match(
    await dovecot.log(),
    /Login: user=<alice@example\.test>, master=<gateway>, method=PLAIN, rip=203\.0\.113\.78/,
  );
});

test('a password session tells the browser’s address too, and its user', async () => {
  const { ask } = createAsking(roundcube.origin);
  assert.equal((await signInByForm(ask, 'alice-pw')).session, alicesSession);
  assert.match(
    await dovecot.log(),
    /Login: user=<alice@example\.test>, master=<alice@example\.test>, method=\S+ rip=203\.0\.113\.80/,
  );
});

test('a password of a form is never replaced by the master identity', async () => {
  const { ask } = createAsking(roundcube.origin);
  const answer = await signInByForm(ask, 'wrong');
  assert.deepEqual([answer.status, answer.session], [401, 'none']);
});

async function signInByForm(ask: ReturnType<typeof createAsking>['ask'], password: string) {
  const fields = { 'x-forwarded-for': '203.0.113.80' };
  const page = await ask('/?_task=login', { fields });
  const token = /name="_token" value="([^"]+)"/.exec(page.text)?.[1] ?? '';
  const form = { _token: token, _task: 'login', _action: 'login', _user: alice, _pass: password };
  return ask('/?_task=login', { fields, body: new URLSearchParams(form).toString() });
}

const refusals: readonly (readonly [
  name: string,
  ask: Parameters<ReturnType<typeof createAsking>['ask']>[1],
  why: string,
])[] = [
  ['another key', { user: alice, signedWith: `${key}!` }, 'signature'],
  ['another method', { user: alice, signedFor: { method: 'POST', target: '/?_task=mail' } }, 'signature'],
  ['another target', { user: alice, signedFor: { method: 'GET', target: '/?_task=mail&_mbox=INBOX' } }, 'signature'],
  ['a signature of a minute ago', { user: alice, clockMs: Date.now() - 60_000 }, 'time'],
  ['a signature of the future', { user: alice, clockMs: Date.now() + 60_000 }, 'time'],
  ['no signature at all', { fields: { 'x-postern-entry': 'alice' } }, 'malformed'],
  ['a user whom the IMAP server does not know', { user: 'nobody@example.test' }, 'imap'],
];
for (const [name, ask, why] of refusals) {
  test(`${name} opens nothing, and the gateway is told why`, async () => {
    const answer = await createAsking(roundcube.origin).ask('/?_task=mail', ask);
    assert.deepEqual([answer.refused, answer.session], [why, 'none']);
    assert.match(answer.text, /id="login-form"/);
  });
}

test('a session that was entered ends without a signature, and under one for another user', async () => {
  const { ask } = await entered();
  const other = await ask('/?_task=mail', { user: 'mia@example.test' });
  assert.deepEqual([other.status, other.session], [307, 'user=mia%40example.test']);
  const bare = await ask('/?_task=mail');
  assert.equal(bare.session, 'none');
  assert.match(bare.text, /id="login-form"/);
});

test('a lost session is replaced while the browser repeats its request, and the open page’s token still counts', async () => {
  const { ask, token } = await entered();
  roundcube.forgetSessions();
  const target = '/?_task=mail&_action=mark';
  const request = { user: alice, body: '_uid=1&_flag=read&_remote=1', fields: { 'x-roundcube-request': token } };
  const lost = await ask(target, request);
  assert.deepEqual([lost.status, lost.location, lost.session], [307, target, alicesSession]);
  const repeated = await ask(target, request);
  assert.equal(repeated.status, 200);
  assert.match(repeated.text, /^\{"action":"mark"/);
});

test('the request token differs between sessions of the gateway and between users', async () => {
  const tokens = [await entered(), await entered(alice, 'session-2'), await entered('mia@example.test')];
  assert.equal(new Set(tokens.map(({ token }) => token)).size, 3);
  assert.equal((await entered()).token, tokens[0]?.token);
});

test('a wrong token is refused in an entered session as well', async () => {
  const { ask } = await entered();
  const body = '_uid=1&_flag=read&_remote=1';
  const forged = await ask('/?_task=mail&_action=mark', { user: alice, body, fields: { 'x-roundcube-request': 'x' } });
  assert.equal(forged.status, 403);
});

test('a message that was being written is not sent into a new session: Roundcube says that its session is lost', async () => {
  const { ask, token } = await entered();
  roundcube.forgetSessions();
  const body = new URLSearchParams({ _token: token, _id: 'compose-1', _framed: '1', _message: 'text' }).toString();
  const answer = await ask('/?_task=mail&_action=send&_framed=1', { user: alice, body });
  assert.deepEqual([answer.status, answer.session], [200, 'none']);
  assert.match(answer.text, /session_error\(/);
});

test('signing out ends the session, and the answer is no new entry', async () => {
  const { ask, token } = await entered();
  const answer = await ask(`/?_task=logout&_token=${token}`, { user: alice });
  assert.deepEqual([answer.status, answer.session], [200, 'none']);
  assert.equal((await ask('/?_task=logout', { user: alice })).session, 'none');
});

test('the sign-in page of Roundcube leads an entered user to the mailbox', async () => {
  const { ask } = createAsking(roundcube.origin);
  const answer = await ask('/?_task=login&_err=session', { user: alice });
  assert.deepEqual([answer.status, answer.location], [302, '/?_task=mail']);
});

test('times are shown in the zone of the browser', async () => {
  const { page } = await entered();
  assert.match(page.text, /"timezone":"Europe\/Berlin"|"date_format"/);
  const { ask } = await entered();
  const settings = await ask('/?_task=settings&_action=edit-prefs&_section=general&_framed=1', { user: alice });
  assert.match(settings.text, /Europe\/Berlin/);
});

test('support enters the user’s own account, and the log says who did', async () => {
  await createAsking(roundcube.origin, 'support-1').ask('/?_task=mail', { user: alice, actor: 'help@example.test' });
  assert.match(await roundcube.log('userlogins'), /alice@example\.test was entered by help@example\.test/);
  assert.deepEqual(roundcube.userNames(), Object.keys(users));
});

/** The folders after the user or staff tried to create one. */
async function makeFolder(actor?: string): Promise<string> {
  const { ask } = createAsking(roundcube.origin, actor ?? 'herself');
  const as = actor === undefined ? { user: alice } : { user: alice, actor };
  await ask('/?_task=mail', as);
  const page = await ask('/?_task=mail', as);
  assert.match(page.text, /"task":"mail"/);
  const token = /"request_token":"([0-9a-f]{32})"/.exec(page.text)?.[1] ?? '';
  const fields = { _token: token, _name: `made by ${actor ?? 'herself'}`, _parent: '', _viewmode: '0' };
  const body = new URLSearchParams(fields).toString();
  await ask('/?_task=settings&_action=save-folder&_framed=1', { ...as, body });
  return (await ask('/?_task=settings&_action=folders', as)).text;
}

test('staff with an identity that may only look make no folder; the user herself does', async () => {
  assert.doesNotMatch(await makeFolder('help@example.test'), /made by help@example\.test/);
  assert.match(await makeFolder(), /made by herself/);
  assert.match(await dovecot.log(), /user=<alice@example\.test>.*master=<support>/);
});

test('a letter of an entered user goes out in her name, by the master identity', async () => {
  const { ask, token } = await entered();
  const draft = await ask('/?_task=mail&_action=compose', { user: alice });
  const id = /_id=(\w+)/.exec(draft.location ?? '')?.[1] ?? '';
  const fields = { _token: token, _id: id, _from: '1', _to: 'mia@example.test', _subject: 'Hello', _message: 'Text' };
  const body = new URLSearchParams({ ...fields, _framed: '1' }).toString();
  const sent = await ask('/?_task=mail&_action=send&_framed=1', { user: alice, body });
  assert.match(sent.text, /sent_successfully/);
  assert.deepEqual(smtp.logins, [[alice, 'gateway', masterPassword]]);
});
