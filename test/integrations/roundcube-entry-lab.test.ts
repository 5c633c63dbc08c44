import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { withLab } from '../lab/lab.ts';
import { RoundcubeUser } from '../lab/roundcube-user.ts';
import { type OwnGateway, startGateway } from './own-gateway.fixture.ts';
import { entrySettings, type OwnRoundcube, startRoundcube } from './own-roundcube.fixture.ts';
import { key } from './roundcube-browser.fixture.ts';

const lab = await withLab('a');

suite('Roundcube with the plugin, entered by the gateway', { concurrency: false }, () => {
  const running = new AsyncDisposableStack();
  let gateway: OwnGateway;
  let roundcube: OwnRoundcube;
  before(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'postern-entry-'));
    running.defer(() => rm(directory, { recursive: true }));
    roundcube = await startRoundcube(directory, entrySettings(`127.0.0.11:${lab.port(143)}`));
    running.defer(() => roundcube.stop());
    gateway = running.use(
      await startGateway({
        caFile: lab.caFile,
        users: { 'alice@example.test': 'a' },
        files: { 'roundcube.key': key },
        backends: {
          a: `{ imap: "imaps://127.0.0.11:${lab.port(993)}", webmail: "${roundcube.origin}/", driver: roundcube,
      roundcube: { entry_key: { file: roundcube.key } } }`,
        },
      }),
    );
  });
  after(() => running.disposeAsync());

  async function aliceSignedIn(): Promise<RoundcubeUser> {
    const person = new RoundcubeUser(gateway.origin);
    const page = await person.signIn('alice', 'alice-pw');
    assert.equal(page.status, 200);
    assert.match(page.body, /"task":"mail"/);
    return person;
  }

  test('a sign-in leads to the mailbox; nothing of the plugin is seen by the browser', async () => {
    const person = await aliceSignedIn();
    const page = await person.open('/?_task=mail&_mbox=Sent');
    assert.match(page.body, /"mailbox":"Sent"/);
    const names = Object.keys(page.headers).filter((name) => name.startsWith('x-postern'));
    assert.deepEqual(names, []);
  });

  test('a script that writes goes on with its old token when the webmail has lost the session', async () => {
    const person = await aliceSignedIn();
    const { token } = person;
    roundcube.forgetSessions();
    const first = await person.script('/?_task=mail&_action=mark', { _uid: '1', _flag: 'read' });
    assert.equal(first.status, 307);
    assert.equal(first.headers.location, '/?_task=mail&_action=mark');
    const repeated = await person.script('/?_task=mail&_action=mark', { _uid: '1', _flag: 'read' });
    assert.match(repeated.body, /^\{"action":"mark"/);
    await person.open('/?_task=mail');
    assert.equal(person.token, token);
  });

  test('a client cannot sign for anybody', async () => {
    const person = await aliceSignedIn();
    const page = await person.get('/?_task=mail', {
      headers: { 'x-postern-entry': 'e30.AAAA', 'x-postern-session': 'none' },
    });
    assert.equal(page.status, 200);
    assert.match(page.body, /"task":"mail"/);
  });

  test('Roundcube’s own sign-out ends the session of the gateway', async () => {
    const person = await aliceSignedIn();
    await person.get(`/?_task=logout&_token=${person.token}`);
    const next = await person.get('/?_task=mail');
    assert.deepEqual([next.status, new URL(next.headers.location ?? '').pathname], [303, '/-/login']);
  });
});
