import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type OwnGateway, startGateway } from '../integrations/own-gateway.fixture.ts';
import { withLab } from '../lab/lab.ts';
import { RoundcubeUser } from '../lab/roundcube-user.ts';

const lab = await withLab('a');

suite('a real Roundcube that is entered by HTTP Basic, and one by trusted fields', { concurrency: false }, () => {
  const running = new AsyncDisposableStack();
  let gateway: OwnGateway;
  before(async () => {
    const imap = `imaps://127.0.0.11:${lab.port(993)}`;
    gateway = running.use(
      await startGateway({
        caFile: lab.caFile,
        users: { 'alice@example.test': 'basic', 'mia@example.test': 'header' },
        files: { 'header.secret': 'lab-shared-secret' },
        backends: {
          basic: `{ imap: "${imap}", webmail: "http://127.0.0.11:${lab.port(81)}/", driver: basic,
      basic: { signed_out: { location: /labsso-logged-out } } }`,
          header: `{ imap: "${imap}", webmail: "http://127.0.0.11:${lab.port(82)}/?_task=mail", driver: header,
      header: { user_field: X-Sso-User, secret_field: X-Sso-Secret, secret: { file: header.secret },
        signed_out: { removes_cookie: roundcube_sessauth, path: / } } }`,
        },
      }),
    );
  });
  after(() => running.disposeAsync());

  for (const user of ['alice', 'mia']) {
    test(`${user} is in her mailbox, heals without noticing, and signs out`, async () => {
      const person = new RoundcubeUser(gateway.origin);
      const page = await person.signIn(user, `${user}-pw`);
      assert.match(page.body, /"task":"mail"/);
      assert.deepEqual([...person.cookies.keys()].sort(), ['postern', 'postern-form', 'postern-last']);
      await lab.expire('a');
      assert.match((await person.open('/?_task=mail')).body, /"mailbox":"INBOX"/);
      const list = await person.script('/?_task=mail&_action=mark', { _uid: '1', _flag: 'read' });
      assert.match(list.body, /^\{"action":"mark"/);
      await person.get(`/?_task=logout&_token=${person.token}`);
      const next = await person.get('/?_task=mail');
      assert.deepEqual([next.status, new URL(next.headers.location ?? '').pathname], [303, '/-/login']);
    });
  }

  test('a client claims nothing by fields of its own', async () => {
    const person = new RoundcubeUser(gateway.origin);
    await person.signIn('mia', 'mia-pw');
    const headers = {
      'x-sso-user': 'alice@example.test',
      'x-sso-secret': 'lab-shared-secret',
      authorization: 'Basic eDp5',
    };
    const page = await person.get('/?_task=settings&_action=about', { headers });
    assert.equal(page.status, 200);
    assert.match((await person.open('/?_task=mail')).body, /mia@example\.test/);
  });
});
