import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type OwnGateway, startGateway } from '../integrations/own-gateway.fixture.ts';
import { withLab } from '../lab/lab.ts';
import { RoundcubeUser } from '../lab/roundcube-user.ts';

const lab = await withLab('d');

function tokenOf(page: string): string {
  const token = /"TOKEN":"([\w-]+)"/.exec(page)?.[1];
  assert.ok(token !== undefined);
  return token;
}

suite('the real Horde behind the gateway', { concurrency: false }, () => {
  const running = new AsyncDisposableStack();
  let gateway: OwnGateway;
  before(async () => {
    const address = '127.0.0.14';
    gateway = running.use(
      await startGateway({
        caFile: lab.caFile,
        users: { 'dave@example.test': 'd' },
        backends: {
          d: `{ imap: "imaps://${address}:${lab.port(993)}", webmail: "http://${address}:${lab.port(80)}/horde/", driver: horde }`,
        },
      }),
    );
  });
  after(() => running.disposeAsync());

  /** Signs dave in. Resolves with his browser and the token of the page. */
  async function daveSignedIn() {
    const person = new RoundcubeUser(gateway.origin);
    const page = await person.signIn('dave', 'dave-pw');
    assert.equal(page.status, 200);
    assert.match(page.target, /^\/horde\/imp\/dynamic\.php/);
    return { person, token: tokenOf(page.body) };
  }

  test('a sign-in leads to the mailbox, and the browser holds nothing of Horde', async () => {
    const { person, token } = await daveSignedIn();
    assert.deepEqual([...person.cookies.keys()].sort(), ['postern', 'postern-form', 'postern-last']);
    const poll = await person.post('/horde/services/ajax.php/imp/poll', { kind: 'script', form: { token } });
    assert.match(poll.body, /"response":(?:true|\{)/);
  });

  test('redirects name the public address, also those of Horde’s web server', async () => {
    const { person } = await daveSignedIn();
    const answer = await person.get('/horde/imp');
    assert.equal(new URL(answer.headers.location ?? '').origin, gateway.origin);
  });

  test('a page of a lost session heals', async () => {
    const { person } = await daveSignedIn();
    await lab.expire('d');
    const page = await person.open('/horde/imp/dynamic.php?page=mailbox');
    assert.equal(page.target, '/horde/imp/dynamic.php?page=mailbox');
    tokenOf(page.body);
  });

  test('a script of a lost session is led to the sign-in page by Horde, and from there back into the mailbox', async () => {
    const { person, token } = await daveSignedIn();
    await lab.expire('d');
    const poll = await person.post('/horde/services/ajax.php/imp/poll', { kind: 'script', form: { token } });
    const secured = /^\/\*-secure-(.*)\*\/$/s.exec(poll.body)?.[1] ?? '';
    const { msgs } = JSON.parse(secured) as { msgs: { type: string; message: string }[] };
    assert.equal(msgs[0]?.type, 'horde.ajaxtimeout');
    const page = await person.open(msgs[0]?.message ?? '');
    assert.match(page.target, /^\/horde\/imp\/dynamic\.php/);
    const again = await person.post('/horde/services/ajax.php/imp/poll', {
      kind: 'script',
      form: { token: tokenOf(page.body) },
    });
    assert.match(again.body, /"response":(?:true|\{)/);
  });

  test('a stale token neither signs out of Horde nor ends the session of the gateway', async () => {
    const { person } = await daveSignedIn();
    const poll = await person.post('/horde/services/ajax.php/imp/poll', { kind: 'script', form: { token: 'stale' } });
    const link = /"message":"([^"]+)"/.exec(poll.body)?.[1]?.replaceAll('\\/', '/') ?? '';
    assert.match(link, /login\.php.*logout_reason=6/);
    assert.match((await person.open(link)).target, /^\/horde\/imp\/dynamic\.php/);
  });

  test('Horde’s own sign-out ends the session of the gateway, and one without its token does not', async () => {
    const { person, token } = await daveSignedIn();
    await person.get('/horde/login.php?logout_reason=4');
    assert.match((await person.open('/horde/')).target, /^\/horde\/imp\/dynamic\.php/);
    await person.get(`/horde/login.php?horde_logout_token=${token}&logout_reason=4`);
    const next = await person.get('/horde/');
    assert.deepEqual([next.status, new URL(next.headers.location ?? '').pathname], [303, '/-/login']);
  });

  test('without a session Horde’s script is led to the gateway’s sign-in page', async () => {
    const stranger = new RoundcubeUser(gateway.origin);
    const poll = await stranger.post('/horde/services/ajax.php/imp/poll', { kind: 'script', form: { token: 'x' } });
    assert.equal(poll.status, 200);
    assert.match(poll.body, /"message":"\/-\/login[^"]*","type":"horde\.ajaxtimeout"/);
  });
});
