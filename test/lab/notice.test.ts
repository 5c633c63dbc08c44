import assert from 'node:assert/strict';
import { randomInt, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import type { Backend, BackendHost } from '../../src/core/backend.ts';
import { Secret } from '../../src/core/secrets.ts';
import { readLocales } from '../../src/http/locales.ts';
import { createImapMailboxes } from '../../src/passdb/imap-mailboxes.ts';
import { createMasterMailboxes } from '../../src/support/master-mailboxes.ts';
import { backendLimits } from '../backend-limits.fixture.ts';
import { type OwnGateway, startGateway } from '../integrations/own-gateway.fixture.ts';
import { backendName, canonicalUser } from '../login/named.fixture.ts';
import { withLab } from './lab.ts';
import { RoundcubeUser } from './roundcube-user.ts';
import { startDesk } from './support-desk.ts';

const lab = await withLab('a', 'b');
const host: BackendHost = {
  name: 'a',
  imap: {
    hostname: '127.0.0.11',
    port: lab.port(993),
    security: 'tls',
    trust: { ca: readFileSync(lab.caFile, 'utf8') },
  },
  webmail: { origin: 'http://127.0.0.11', landing: '/', trust: {} },
};
const backend: Backend = {
  name: backendName('a'),
  driver: 'roundcube',
  driverSettings: {},
  hosts: [host],
  limits: backendLimits,
  master: { user: 'gateway', password: new Secret('gateway-pw'), separator: '*' },
};
const { master: _nobody, ...withoutMaster } = backend;
const locales = readLocales(new URL('../../views/locales/', import.meta.url), 'en');

function mailboxesOf(known: Backend) {
  return createMasterMailboxes({
    mailboxes: createImapMailboxes(),
    backendOf: () => known,
    newReference: () => 'ref',
    newMessageId: () => randomUUID().replaceAll('-', ''),
    site: () => ({ name: 'Bürgerpost', domain: 'example.test' }),
    languages: () => [locales.choose('de', undefined), locales.choose('en', undefined)],
  });
}

// A separate address: Dovecot delays logins after refusals from one address.
const client = { address: `198.51.100.${randomInt(1, 128)}`, port: 4711, userAgent: undefined };
const anna = canonicalUser('anna@example.test');
const opened = { actor: canonicalUser('sam@example.test'), reason: '', minutes: 15, atMs: Date.now() };

/** The newest notice in Roundcube's list, and opened. */
async function newestNotice(person: RoundcubeUser, subject: string) {
  const list = await person.script('/?_task=mail&_action=list&_mbox=INBOX&_sort=arrival_DESC');
  const rows = [...JSON.parse(list.body).exec.matchAll(/add_message_row\((\d+),(\{.*?\}),(\{.*?\}|\[\])/g)];
  const [, uid, columns = '', flags = ''] = rows.find(([row]) => row.includes(subject)) ?? [];
  assert.ok(uid !== undefined, list.body);
  const message = await person.get(`/?_task=mail&_action=show&_uid=${uid}&_mbox=INBOX`);
  return { columns, flags, text: message.body.replace(/<[^>]*>/g, '').replaceAll('&#64;', '@') };
}

/** Confirms the page of the notice, which is shown once. */
async function readNotice(alice: RoundcubeUser, page: string): Promise<void> {
  const field = (name: string) => new RegExp(`name="${name}" value="([^"]*)"`).exec(page)?.[1] ?? '';
  const reply = await alice.post('/-/notice', { form: { token: field('token'), until: field('until') } });
  assert.equal(reply.status, 303);
  assert.doesNotMatch((await alice.open('/-/notice')).body, /opened by support/);
}

suite('what support did is told to the user by the gateway itself', { concurrency: false }, () => {
  for (const notice of ['message', 'at-sign-in', 'never'] as const) {
    test(`notice: ${notice}`, async () => {
      await using desk = await startDesk(lab, { support: [`notice: ${notice}`] });
      const reason = `cannot find ${randomUUID()}`;
      const link = await desk.linkFor('alice@example.test', { reason, ticket: 'T-77' });
      assert.equal((await desk.getAt(desk.hostOf('assist'), link)).status, 303);

      const alice = new RoundcubeUser(desk.gateway.origin);
      const landed = await alice.signIn('alice', 'alice-pw');
      assert.equal(landed.body.includes(reason), notice === 'at-sign-in');
      if (notice === 'at-sign-in') await readNotice(alice, landed.body);
      const { text } =
        notice === 'message' ? await newestNotice(alice, 'opened by support') : await newestNotice(alice, '');
      assert.equal(text.includes(reason), notice === 'message');
      const told = await desk.run('audit', 'list', '--event', 'subject-told', '--format', 'json');
      const lines: { actor: string; subject: string; facts: { by: string } }[] = JSON.parse(told.out);
      assert.deepEqual(
        lines.map(({ actor, subject, facts }) => [actor, subject, facts.by]),
        notice === 'never'
          ? []
          : [['sam@example.test', 'alice@example.test', notice === 'message' ? 'message' : 'page']],
      );
    });
  }
});

suite('a user is told by a message', { concurrency: false }, () => {
  const running = new AsyncDisposableStack();
  let gateway: OwnGateway;
  before(async () => {
    gateway = running.use(
      await startGateway({
        caFile: lab.caFile,
        users: { [anna]: 'a' },
        backends: {
          a: `{ imap: "imaps://127.0.0.11:${lab.port(993)}", webmail: "http://127.0.0.11:${lab.port(80)}/", driver: roundcube }`,
        },
      }),
    );
  });
  after(() => running.disposeAsync());

  test('it is in Roundcube’s list, unread, and says who, why and for how long', async () => {
    const reason = `Ordner „Müll“ fehlt, ${randomUUID()}`;
    await mailboxesOf(backend).appendMessage(anna, { ...opened, reason }, host);

    const person = new RoundcubeUser(gateway.origin);
    await person.signIn('anna', 'Paß "wört" \\1 €');
    const { columns, flags, text } = await newestNotice(person, 'Postfach geöffnet');
    assert.match(columns, /Der Support hat Ihr Postfach geöffnet/);
    assert.match(columns, /Bürgerpost/);
    assert.doesNotMatch(flags, /"seen"/);
    assert.match(text, /sam@example\.test vom Support hat Ihr Postfach geöffnet/);
    assert.match(text, /at most 15 minutes/);
    assert.ok(text.includes(reason));
  });

  test('the master identity is let in to her, and to nobody who is unknown', async () => {
    const { checkMaster } = mailboxesOf(backend);
    const place = { backend, host };
    const { signal } = new AbortController();
    assert.deepEqual(await checkMaster(anna, place, client, signal), { kind: 'ok' });
    const nobody = await checkMaster(canonicalUser('nobody@example.test'), place, client, signal);
    assert.ok(nobody.kind === 'refused');
    assert.match(nobody.why, /not for this user/);
  });

  test('without a master, and where the server refuses, it is said that nobody was told', async () => {
    const wrong = { ...backend, master: { user: 'gateway', password: new Secret('wrong'), separator: '*' } };
    const tried: readonly (readonly [known: Backend, message: RegExp])[] = [
      [withoutMaster, /has no master/],
      [wrong, /refuses the master identity/],
    ];
    for (const [known, message] of tried) {
      const attempt = mailboxesOf(known).appendMessage(anna, opened, host);
      await assert.rejects(attempt, { code: 'ERR_NO_MASTER_ENTRY', message });
    }
    const check = await mailboxesOf(withoutMaster).checkMaster(
      anna,
      { backend: withoutMaster, host },
      client,
      new AbortController().signal,
    );
    assert.equal(check.kind, 'refused');
  });
});
