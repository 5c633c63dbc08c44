import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { type OwnGateway, startGateway } from '../integrations/own-gateway.fixture.ts';
import { withLab } from './lab.ts';
import { RoundcubeUser } from './roundcube-user.ts';

const lab = await withLab('a', 'b');

/** The number of Roundcube's sign-ins of this user. */
function signInsOf(user: string, backend: 'a' | 'b'): number {
  const file = `${lab.dataFolder}/${backend}/log/userlogins.log`;
  const log = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return log.split(`Successful login for ${user}@example.test`).length - 1;
}

suite('Roundcube as sites configure it', { concurrency: false }, () => {
  const running = new AsyncDisposableStack();
  let gateway: OwnGateway;
  before(async () => {
    const backend = (address: string, port: number, path: string): string =>
      `{ imap: "imaps://${address}:${lab.port(993)}", webmail: "http://${address}:${lab.port(port)}${path}", driver: roundcube }`;
    gateway = running.use(
      await startGateway({
        caFile: lab.caFile,
        users: { 'alice@example.test': 'below', 'bob@example.test': 'strict', 'anna@example.test': 'short' },
        backends: {
          below: backend('127.0.0.11', 80, '/roundcube/'),
          strict: backend('127.0.0.12', 80, '/'),
          short: backend('127.0.0.11', 83, '/'),
        },
      }),
    );
  });
  after(() => running.disposeAsync());

  async function signedIn(user: string, password: string, target?: string) {
    const person = new RoundcubeUser(gateway.origin);
    const page = await person.signIn(user, password, target);
    assert.equal(page.status, 200);
    return { person, page };
  }

  suite('under a path of its own', { concurrency: false }, () => {
    test('a sign-in leads there, and so does the bare address', async () => {
      const { person, page } = await signedIn('alice', 'alice-pw');
      assert.match(page.target, /^\/roundcube\/\?_task=mail/);
      assert.match(page.body, /Webmail on backend a :: Inbox/);
      assert.match((await person.open('/')).target, /^\/roundcube\//);
      assert.deepEqual([...person.cookies.keys()].sort(), ['postern', 'postern-form', 'postern-last']);
    });

    test('a link into it survives the sign-in', async () => {
      const deep = '/roundcube/?_task=mail&_mbox=Sent';
      const stranger = await new RoundcubeUser(gateway.origin).get(deep);
      const login = new URL(stranger.headers.location ?? '');
      const { page } = await signedIn('alice', 'alice-pw', login.pathname + login.search);
      assert.equal(page.target, deep);
      assert.match(page.body, /"mailbox":"Sent"/);
    });

    test('a lost session heals, and where the script of Roundcube leads there is the mailbox', async () => {
      const { person } = await signedIn('alice', 'alice-pw');
      await lab.expire('a');
      const list = await person.script('/roundcube/?_task=mail&_action=list&_mbox=INBOX');
      assert.match(list.body, /add_message_row/);
      const landed = await person.open('/roundcube/?_task=login&_err=session');
      assert.match(landed.target, /^\/roundcube\//);
      assert.match(landed.body, /Webmail on backend a :: Inbox/);
    });

    test('the sign-out of Roundcube ends the session of the gateway', async () => {
      const { person } = await signedIn('alice', 'alice-pw');
      await person.get(`/roundcube/?_task=logout&_token=${person.token}`);
      const next = await person.get('/roundcube/');
      assert.deepEqual([next.status, new URL(next.headers.location ?? '').pathname], [303, '/-/login']);
    });

    test('without a session its script is led to the sign-in page of the gateway', async () => {
      const stranger = new RoundcubeUser(gateway.origin);
      const list = await stranger.script('/roundcube/?_task=mail&_action=list&_mbox=INBOX');
      assert.match(list.body, /this\.session_error\(\\"\/-\/login/);
    });
  });

  suite('with ip_check and SameSite', { concurrency: false }, () => {
    test('pages, scripts and frames of one address stay in one session of Roundcube', async () => {
      const before = signInsOf('bob', 'b');
      const { person, page } = await signedIn('bob', 'bob-pw');
      assert.match(page.body, /Webmail on backend b :: Inbox/);
      for (const target of ['/?_task=mail', '/?_task=settings', '/?_task=addressbook']) {
        assert.doesNotMatch((await person.open(target)).body, /login-form/);
      }
      assert.match((await person.script('/?_task=mail&_action=list&_mbox=INBOX')).body, /add_message_row/);
      assert.equal(signInsOf('bob', 'b'), before + 1);
      assert.deepEqual([...person.cookies.keys()].sort(), ['postern', 'postern-form', 'postern-last']);
    });

    test('who comes from another address goes on in a new session of Roundcube, without signing in', async () => {
      const { person } = await signedIn('bob', 'bob-pw');
      const before = signInsOf('bob', 'b');
      const headers = { 'x-forwarded-for': '198.51.100.23' };
      const list = await person.get('/?_task=mail&_action=list&_mbox=INBOX&_remote=1', {
        kind: 'script',
        headers: { ...headers, 'x-roundcube-request': person.token },
      });
      assert.match(list.body, /add_message_row/);
      assert.match((await person.get('/?_task=mail', { headers })).body, /Webmail on backend b :: Inbox/);
      assert.equal(signInsOf('bob', 'b'), before + 1);
    });
  });

  test('sessions of one minute: Roundcube forgets a reader, and the reader does not notice', async () => {
    const { person } = await signedIn('anna', 'Paß "wört" \\1 €');
    await lab.expire('a');
    assert.match((await person.script('/?_task=mail&_action=list&_mbox=INBOX')).body, /add_message_row/);
    assert.match((await person.open('/?_task=mail')).body, /Webmail on backend a :: Inbox/);
    assert.equal(await lifetimeSeconds(person), 60);
  });
});

/** The lifetime of its session that Roundcube tells its own script. */
async function lifetimeSeconds(person: RoundcubeUser): Promise<number> {
  return Number(/"session_lifetime":(\d+)/.exec((await person.open('/?_task=mail')).body)?.[1]);
}
