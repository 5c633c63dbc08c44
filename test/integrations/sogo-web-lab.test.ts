import assert from 'node:assert/strict';
import { once } from 'node:events';
import { IncomingMessage, request as sendRequest } from 'node:http';
import { after, before, suite, test } from 'node:test';
import { withLab } from '../lab/lab.ts';
import { browserName, RoundcubeUser } from '../lab/roundcube-user.ts';
import { type OwnGateway, startGateway } from './own-gateway.fixture.ts';
import { type OwnWebServer, startSogoWeb } from './own-web-server.fixture.ts';

const lab = await withLab('c');
const secret = 'A-secret-of-the-test-only';
const carol = `Basic ${Buffer.from('carol@example.test:carol-pw').toString('base64')}`;

interface Ask {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  readonly localAddress?: string;
}

/** Asks as written: no redirect is followed, and no field is added or refused. */
async function ask(url: string, { method = 'GET', headers = {}, body, localAddress = '127.0.0.1' }: Ask = {}) {
  const request = sendRequest(url, { method, headers: { 'user-agent': browserName, ...headers }, localAddress });
  request.end(body);
  const [response]: unknown[] = await once(request, 'response');
  assert.ok(response instanceof IncomingMessage);
  const bytes = Buffer.concat(await response.toArray());
  return { status: response.statusCode, headers: response.headers, bytes, text: bytes.toString() };
}

/** ActiveSync's question for the rules of a device, in the binary XML that phones send. */
function provisionRequest(): Buffer {
  const header = [0x03, 0x01, 0x6a, 0x00];
  const [provision, policies, policy, policyType] = [0x45, 0x46, 0x47, 0x48];
  const text = [0x03, ...Buffer.from('MS-EAS-Provisioning-WBXML'), 0x00];
  const ends = [0x01, 0x01, 0x01, 0x01];
  return Buffer.from([...header, 0x00, 0x0e, provision, policies, policy, policyType, ...text, ...ends]);
}

const phone = '?User=carol&DeviceId=posterntest&DeviceType=test';
const propfind = Buffer.from('<?xml version="1.0"?><D:propfind xmlns:D="DAV:"><D:allprop/></D:propfind>');

for (const server of ['nginx', 'apache'] as const) {
  suite(`SOGo behind the sample for ${server}`, { concurrency: false }, () => {
    const running = new AsyncDisposableStack();
    let web: OwnWebServer;
    let trusting: OwnWebServer;
    let gateway: OwnGateway;
    before(async () => {
      web = running.use(await startSogoWeb(server, { sogodPort: lab.port(20_000), secret }));
      trusting = running.use(await startSogoWeb(server, { sogodPort: lab.port(20_001), secret }));
      const imap = `imaps://127.0.0.13:${lab.port(993)}`;
      gateway = running.use(
        await startGateway({
          caFile: lab.caFile,
          users: { 'carol@example.test': 'c' },
          backends: { c: `{ imap: "${imap}", webmail: "${web.origin}/SOGo/", driver: sogo }` },
        }),
      );
    });
    after(() => running.disposeAsync());

    test('nobody but a gateway gets in', async () => {
      const paths = [
        '/SOGo/',
        '/SOGo/dav/',
        '/SOGo.woa/WebServerResources/css/styles.css',
        '/Microsoft-Server-ActiveSync',
      ];
      for (const path of paths) {
        assert.equal((await ask(web.origin + path, { localAddress: '127.0.0.99' })).status, 403, path);
      }
      assert.equal((await ask(`${web.origin}/SOGo/`)).status, 200);
    });

    test('its files are where this release has them, and may be kept for a day', async () => {
      for (const path of ['css/styles.css', 'js/Common.js', 'img/sogo-full.svg']) {
        const { status, headers } = await ask(`${web.origin}/SOGo.woa/WebServerResources/${path}`);
        assert.deepEqual([status, headers['cache-control']], [200, 'max-age=86400'], path);
      }
    });

    test('calendar programs find their way, without learning another address', async () => {
      for (const [path, status, location] of [
        ['/', 302, '/SOGo/'],
        ['/.well-known/caldav', 301, '/SOGo/dav/'],
        ['/.well-known/carddav', 301, '/SOGo/dav/'],
      ] as const) {
        const answer = await ask(web.origin + path, { method: path === '/' ? 'GET' : 'PROPFIND' });
        assert.deepEqual([answer.status, answer.headers.location], [status, location], path);
      }
    });

    test('calendars and address books answer', async () => {
      const headers = { authorization: carol, depth: '1', 'content-type': 'application/xml' };
      const home = `${web.origin}/SOGo/dav/carol@example.test`;
      for (const [path, kind] of [
        ['Calendar/', /\/Calendar\/personal\//],
        ['Contacts/', /\/Contacts\/personal\//],
      ] as const) {
        const answer = await ask(`${home}/${path}`, { method: 'PROPFIND', headers, body: propfind });
        assert.equal(answer.status, 207, answer.text);
        assert.match(answer.text, kind);
      }
      const card = `${home}/Contacts/personal/a%2Fb-${server}.vcf`;
      const body = Buffer.from(`BEGIN:VCARD\r\nVERSION:3.0\r\nUID:ab-${server}\r\nFN:Ann\r\nN:Ann\r\nEND:VCARD\r\n`);
      const put = { method: 'PUT', headers: { authorization: carol, 'content-type': 'text/vcard' }, body };
      assert.ok([201, 204].includes((await ask(card, put)).status ?? 0));
      assert.equal((await ask(card, { method: 'DELETE', headers: { authorization: carol } })).status, 204);
    });

    test('phones are told what ActiveSync can do, and their rules', async () => {
      const url = `${web.origin}/Microsoft-Server-ActiveSync`;
      const options = await ask(url, { method: 'OPTIONS', headers: { authorization: carol } });
      assert.equal(options.status, 200, options.text);
      assert.match(String(options.headers['ms-asprotocolversions']), /14\.1/);
      const headers = {
        authorization: carol,
        'content-type': 'application/vnd.ms-sync.wbxml',
        'ms-asprotocolversion': '14.1',
        'x-ms-policykey': '0',
      };
      const rules = await ask(`${url}${phone}&Cmd=Provision`, { method: 'POST', headers, body: provisionRequest() });
      assert.equal(rules.status, 200, rules.text);
      assert.match(rules.text, /MS-EAS-Provisioning-WBXML/);
    });

    test('through the gateway, people sign in and phones connect', async () => {
      const person = new RoundcubeUser(gateway.origin);
      const page = await person.signIn('carol', 'carol-pw');
      assert.match(page.body, /UserLogin = 'carol@example\.test'/);
      const headers = { authorization: carol, 'x-forwarded-proto': 'http', 'x-forwarded-for': person.address };
      const options = await ask(`${gateway.origin}/Microsoft-Server-ActiveSync`, { method: 'OPTIONS', headers });
      assert.match(String(options.headers['ms-asprotocolversions']), /14\.1/);
    });

    test('in mode trusted a user is taken from nobody without the secret', async () => {
      const named = { 'x-webobjects-remote-user': 'carol@example.test' };
      for (const [headers, location] of [
        [{ ...named, 'x-postern-secret': secret }, '/SOGo/carol@example.test'],
        [{ ...named, 'x-postern-secret': secret.toLowerCase() }, undefined],
        [{ ...named, 'x-postern-secret': `${secret}!` }, undefined],
        [{ ...named, 'x-webobjects-auth-type': 'Basic' }, undefined],
      ] as const) {
        const answer = await ask(`${trusting.origin}/SOGo/`, { headers });
        assert.equal(answer.headers.location, location);
      }
    });
  });
}
