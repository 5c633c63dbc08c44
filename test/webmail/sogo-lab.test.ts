import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type OwnGateway, startGateway } from '../integrations/own-gateway.fixture.ts';
import { withLab } from '../lab/lab.ts';
import { RoundcubeUser } from '../lab/roundcube-user.ts';

const lab = await withLab('c');
const carol = '/SOGo/so/carol@example.test';
const json = { 'content-type': 'application/json', accept: 'application/json, text/plain, */*' };

/** A request of SOGo's script, with the token that the browser holds at this moment. */
function script(person: RoundcubeUser, method: 'get' | 'post', target: string, value: unknown = {}) {
  const headers = { ...json, 'x-xsrf-token': person.cookies.get('XSRF-TOKEN') ?? '' };
  if (method === 'get') return person.get(target, { kind: 'script', headers });
  const content = { type: 'application/json', bytes: Buffer.from(JSON.stringify(value)) };
  return person.post(target, { kind: 'script', headers, content });
}

function list(person: RoundcubeUser) {
  return script(person, 'post', `${carol}/Mail/0/folderINBOX/view`, { sortingAttributes: { sort: 'arrival', asc: 0 } });
}

suite('the real SOGo behind the gateway', { concurrency: false }, () => {
  const running = new AsyncDisposableStack();
  let gateway: OwnGateway;
  before(async () => {
    const address = '127.0.0.13';
    gateway = running.use(
      await startGateway({
        caFile: lab.caFile,
        users: { 'carol@example.test': 'c' },
        backends: {
          c: `{ imap: "imaps://${address}:${lab.port(993)}", webmail: "http://${address}:${lab.port(80)}/SOGo/", driver: sogo }`,
        },
      }),
    );
  });
  after(() => running.disposeAsync());

  async function carolSignedIn(): Promise<RoundcubeUser> {
    const person = new RoundcubeUser(gateway.origin);
    const page = await person.signIn('carol', 'carol-pw');
    assert.equal(page.status, 200);
    assert.match(page.body, /UserLogin = 'carol@example\.test'/);
    return person;
  }

  test('a sign-in leads to the mailbox, and the browser holds SOGo’s token but not its session', async () => {
    const person = await carolSignedIn();
    assert.deepEqual([...person.cookies.keys()].sort(), ['XSRF-TOKEN', 'postern', 'postern-form', 'postern-last']);
    assert.match((await list(person)).body, /^\{"headers"/);
  });

  test('a page of a lost session heals', async () => {
    const person = await carolSignedIn();
    await lab.expire('c');
    const page = await person.open(`${carol}/Mail/view`);
    assert.equal(page.target, `${carol}/Mail/view`);
    assert.match(page.body, /UserLogin = 'carol@example\.test'/);
  });

  test('a script that reads heals without noticing, and gets the new token', async () => {
    const person = await carolSignedIn();
    const before = person.cookies.get('XSRF-TOKEN');
    await lab.expire('c');
    const answer = await script(person, 'get', `${carol}/Mail/0/view`);
    assert.match(answer.body, /"mailboxes":\[\{/);
    assert.notEqual(person.cookies.get('XSRF-TOKEN'), before);
    assert.match((await list(person)).body, /^\{"headers"/);
  });

  test('a script that writes is asked to do it again, and then it is done', async () => {
    const person = await carolSignedIn();
    await lab.expire('c');
    const lost = await list(person);
    assert.equal(lost.status, 409);
    assert.match(lost.body, /Nothing was done/);
    assert.match((await list(person)).body, /^\{"headers"/);
  });

  test('SOGo names the public address in what it writes', async () => {
    const person = await carolSignedIn();
    const compose = await script(person, 'get', `${carol}/Mail/0/compose`);
    const { draftId } = JSON.parse(compose.body) as { draftId: string };
    const boundary = 'part';
    const saved = await person.post(`${carol}/Mail/0/folderDrafts/${draftId}/save`, {
      kind: 'script',
      headers: { 'x-xsrf-token': person.cookies.get('XSRF-TOKEN') ?? '' },
      content: {
        type: `multipart/form-data; boundary=${boundary}`,
        bytes: Buffer.from(
          `--${boundary}\r\nContent-Disposition: form-data; name="attachments"; filename="a.txt"\r\n` +
            `Content-Type: text/plain\r\n\r\nhello\r\n--${boundary}--\r\n`,
        ),
      },
    });
    assert.equal(saved.status, 200, saved.body);
    const urls = saved.body.match(/http:\\?\/\\?\/[^"\\/]+/g) ?? [];
    assert.ok(urls.length > 0, saved.body);
    for (const url of urls) assert.equal(url.replaceAll('\\', ''), gateway.origin);
  });

  test('SOGo’s own sign-out ends the session of the gateway', async () => {
    const person = await carolSignedIn();
    const answer = await person.get(`${carol}/logoff`);
    assert.deepEqual([answer.status, answer.headers.location], [303, `${gateway.origin}/-/login?ended=signed-out`]);
    const next = await person.get('/SOGo/');
    assert.deepEqual([next.status, new URL(next.headers.location ?? '').pathname], [303, '/-/login']);
    assert.equal(person.cookies.has('XSRF-TOKEN'), false);
  });

  test('a picture in a mail that signs out of SOGo costs a silent sign-in, and nothing else', async () => {
    const person = await carolSignedIn();
    await person.get(`${carol}/logoff`, { headers: { 'sec-fetch-dest': 'image', 'sec-fetch-mode': 'no-cors' } });
    assert.match((await person.open('/SOGo/')).body, /UserLogin = 'carol@example\.test'/);
  });

  test('what a client claims of itself never reaches SOGo', async () => {
    const person = await carolSignedIn();
    const headers = {
      'x-webobjects-remote-user': 'clara@example.test',
      'x-webobjects-server-url': 'https://evil.example',
    };
    const answer = await person.get('/SOGo/', { headers });
    assert.equal(answer.headers.location?.replace(/^https?:\/\/[^/]+/, ''), '/SOGo/carol@example.test');
  });
});
