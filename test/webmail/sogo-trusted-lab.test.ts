import assert from 'node:assert/strict';
import { once } from 'node:events';
import { IncomingMessage, request as sendRequest } from 'node:http';
import { after, before, suite, test } from 'node:test';
import { type OwnGateway, startGateway } from '../integrations/own-gateway.fixture.ts';
import { startTrustingNginx } from '../integrations/own-web-server.fixture.ts';
import { withLab } from '../lab/lab.ts';
import { browserName, RoundcubeUser } from '../lab/roundcube-user.ts';

const lab = await withLab('c');
const carol = '/SOGo/so/carol@example.test';
const secret = 'a-secret-of-the-test-only';
const accept = 'application/json, text/plain, */*';

/** Posts the text unchanged: `fetch` would not let a test choose these fields. */
async function statusOf(url: string, headers: Readonly<Record<string, string>>): Promise<number | undefined> {
  const request = sendRequest(url, { method: 'POST', headers: { ...headers, 'content-type': 'application/json' } });
  request.end('{}');
  const [response]: unknown[] = await once(request, 'response');
  assert.ok(response instanceof IncomingMessage);
  response.resume();
  return response.statusCode;
}

suite('SOGo in mode trusted, behind the sample for nginx', { concurrency: false }, () => {
  const running = new AsyncDisposableStack();
  let gateway: OwnGateway;
  let webServer: string;
  before(async () => {
    ({ origin: webServer } = running.use(await startTrustingNginx(lab, secret)));
    gateway = running.use(
      await startGateway({
        caFile: lab.caFile,
        users: { 'carol@example.test': 'c' },
        files: { 'sogo.secret': secret, 'imap.secret': 'gateway-pw' },
        backends: {
          c: `{ imap: "imaps://127.0.0.13:${lab.port(993)}", webmail: "${webServer}/SOGo/", driver: sogo,
      sogo: { mode: trusted, secret: { file: sogo.secret }, imap_password: { file: imap.secret } } }`,
        },
      }),
    );
  });
  after(() => running.disposeAsync());

  async function carolSignedIn(): Promise<RoundcubeUser> {
    const person = new RoundcubeUser(gateway.origin);
    const page = await person.signIn('carol', 'carol-pw');
    assert.match(page.body, /UserLogin = 'carol@example\.test'/);
    return person;
  }

  test('the user is in her mailbox by the gateway’s word, and IMAP by the master identity', async () => {
    const person = await carolSignedIn();
    const view = await person.get(`${carol}/Mail/0/view`, { kind: 'script', headers: { accept } });
    assert.match(view.body, /"mailboxes":\[\{/);
  });

  test('what SOGo does not check the gateway does: a request to write comes from its own pages', async () => {
    const person = await carolSignedIn();
    const target = `${carol}/Mail/0/folderINBOX/view`;
    const content = { type: 'application/json', bytes: Buffer.from('{}') };
    const own = await person.post(target, { kind: 'script', headers: { accept }, content });
    assert.equal(own.status, 200);
    const cookie = [...person.cookies].map((pair) => pair.join('=')).join('; ');
    for (const fields of [
      { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' },
      { 'sec-fetch-site': 'same-site', origin: 'https://evil.example.test' },
      { origin: 'null' },
      {},
    ]) {
      const headers = { ...fields, accept, cookie, 'user-agent': browserName, 'x-forwarded-proto': 'http' };
      assert.equal(await statusOf(gateway.origin + target, headers), 403);
    }
    const headers = { 'sec-fetch-site': 'same-origin', accept, cookie, 'user-agent': browserName };
    assert.equal(await statusOf(gateway.origin + target, { ...headers, 'x-forwarded-proto': 'http' }), 200);
  });

  test('SOGo’s own sign-out ends the session of the gateway', async () => {
    const person = await carolSignedIn();
    await person.get(`${carol}/logoff`);
    const next = await person.get('/SOGo/');
    assert.deepEqual([next.status, new URL(next.headers.location ?? '').pathname], [303, '/-/login']);
  });

  test('a user is taken from nobody without the secret', async () => {
    const named = { 'user-agent': browserName, 'x-webobjects-remote-user': 'carol@example.test' };
    for (const [headers, location] of [
      [{ ...named, 'x-postern-secret': secret }, '/SOGo/carol@example.test'],
      [{ ...named, 'x-postern-secret': `${secret}!` }, null],
      [named, null],
    ] as const) {
      const answer = await fetch(`${webServer}/SOGo/`, { headers, redirect: 'manual' });
      await answer.body?.cancel();
      assert.equal(answer.headers.get('location'), location);
    }
  });
});
