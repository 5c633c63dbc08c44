import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { IncomingMessage, type OutgoingHttpHeaders, request as sendRequest } from 'node:http';
import { after, before, suite, test, type TestContext } from 'node:test';
import { ImapFlow } from 'imapflow';
import { type OwnGateway, startGateway } from '../integrations/own-gateway.fixture.ts';
import { deliver } from '../lab/deliver.ts';
import { withLab } from '../lab/lab.ts';
import { browserName, RoundcubeUser, sha256 } from '../lab/roundcube-user.ts';

const lab = await withLab('a', 'c', 'd');
const megabyte = 1024 * 1024;
const subject = `big-${randomUUID()}`;
const received = randomBytes(50 * megabyte);
/** The memory that the gateway may need on top: far less than the bodies that pass. */
const allowed = 100;

/** A person who reads and writes mail with an attachment in a webmail. */
interface Correspondent {
  readonly person: RoundcubeUser;
  /** The target of the big mail's attachment. */
  readonly attachment: string;
  /** A picture, style or script that the web server itself answers with. */
  readonly file: string;
  readonly upload: { readonly target: string; readonly headers: OutgoingHttpHeaders; readonly fields: Fields };
  /** The hashes of the webmail's uploads, including the file of this answer. */
  readonly arrived: (answer: string) => Promise<readonly string[]>;
}
type Fields = readonly (readonly [name: string, value: string])[];

async function aliceInRoundcube(gateway: OwnGateway): Promise<Correspondent> {
  const person = new RoundcubeUser(gateway.origin);
  await person.signIn('alice', 'alice-pw');
  const list = await person.script(`/?_task=mail&_action=search&_mbox=INBOX&_q=${subject}&_headers=subject`);
  const uid = /add_message_row\((\d+),/.exec(list.body)?.[1];
  assert.ok(uid !== undefined, list.body);
  const compose = await person.open('/?_task=mail&_action=compose');
  const id = /"compose_id":"(\w+)"/.exec(compose.body)?.[1] ?? '';
  const query = `_uid=${uid}&_mbox=INBOX&_part=2&_download=1&_token=${person.token}`;
  return {
    person,
    attachment: `/?_task=mail&_action=get&${query}`,
    file: '/program/js/app.min.js',
    upload: {
      target: `/?_task=mail&_action=upload&_remote=1&_from=compose&_id=${id}&_uploadid=upload1`,
      headers: { 'x-roundcube-request': person.token },
      fields: [],
    },
    arrived: async (answer) => {
      const file = /rcmfile\w+/.exec(answer)?.[0] ?? '';
      const { sha256 } = await person.get(`/?_task=mail&_action=display-attachment&_file=${file}&_id=${id}`);
      // One message has room for two of them, not three.
      await person.script('/?_task=mail&_action=remove-attachment', { _id: id, _file: file });
      return [sha256];
    },
  };
}

async function carolInSogo(gateway: OwnGateway): Promise<Correspondent> {
  const person = new RoundcubeUser(gateway.origin);
  assert.match((await person.signIn('carol', 'carol-pw')).body, /UserLogin = 'carol@example\.test'/);
  const at = '/SOGo/so/carol@example.test/Mail/0';
  const headers = { accept: 'application/json', 'x-xsrf-token': person.cookies.get('XSRF-TOKEN') ?? '' };
  const json = { type: 'application/json', bytes: Buffer.from('{"sortingAttributes":{"sort":"arrival","asc":0}}') };
  const list = await person.post(`${at}/folderINBOX/view`, { kind: 'script', headers, content: json });
  const uid = new RegExp(`"${subject}".*?\\[\\], (\\d+), `).exec(list.body)?.[1];
  assert.ok(uid !== undefined, list.body);
  const draft = await person.get(`${at}/compose`, { kind: 'script', headers });
  const draftId = /"draftId":\s*"?([^",}]+)/.exec(draft.body)?.[1];
  return {
    person,
    attachment: `${at}/folderINBOX/${uid}/2/asAttachment/big.bin`,
    file: '/SOGo.woa/WebServerResources/js/Common.js',
    upload: { target: `${at}/folderDrafts/${draftId}/save`, headers, fields: [] },
    arrived: async (answer) => {
      const { pathname } = new URL(/"url":\s*"([^"]+)"/.exec(answer)?.[1] ?? answer);
      return [(await person.get(pathname)).sha256];
    },
  };
}

async function daveInHorde(gateway: OwnGateway): Promise<Correspondent> {
  const person = new RoundcubeUser(gateway.origin);
  const page = await person.signIn('dave', 'dave-pw');
  const token = /"TOKEN":"([\w-]+)"/.exec(page.body)?.[1] ?? '';
  const view = 'SU5CT1g';
  const viewport = JSON.stringify({ view, slice: '1:500', initial: 1, force: 1, requestid: 1 });
  const list = await person.post('/horde/services/ajax.php/imp/viewPort', {
    kind: 'script',
    form: { token, view, viewport },
  });
  const uid = new RegExp(`"(\\d+)":\\{[^{}]*"subject":"${subject}"`).exec(list.body)?.[1];
  assert.ok(uid !== undefined, list.body);
  return {
    person,
    attachment: `/horde/services/download/?app=imp&actionID=download_attach&mailbox=${view}&buid=${uid}&id=2&view_token=${token}`,
    file: '/horde/imp/js/dimpbase.js',
    upload: {
      target: '/horde/services/ajax.php/imp/addAttachment',
      headers: {},
      fields: Object.entries({ token, composeCache: '', json_return: '1', file_id: '1' }),
    },
    arrived: async (answer) => {
      assert.match(answer, /"success":1/);
      const folder = `${lab.dataFolder}/d/run/rctmp/.horde/imp/compose`;
      const files = await readdir(folder);
      return Promise.all(files.map(async (file) => sha256(await readFile(`${folder}/${file}`))));
    },
  };
}

/** A request of this person, to be written or read in part. */
function begin(person: RoundcubeUser, method: string, target: string, headers: OutgoingHttpHeaders = {}) {
  const cookie = [...person.cookies].map((pair) => pair.join('=')).join('; ');
  const browser = {
    'user-agent': browserName,
    origin: person.origin,
    'sec-fetch-site': 'same-origin',
    'x-forwarded-for': person.address,
    'x-forwarded-proto': 'http',
  };
  return sendRequest(person.origin + target, { method, headers: { ...browser, cookie, ...headers } });
}

function formOf(fields: Fields, field: string, content: Buffer): { readonly type: string; readonly bytes: Buffer } {
  const boundary = '----postern';
  const part = (name: string): string => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"`;
  const head = fields.map(([name, value]) => `${part(name)}\r\n\r\n${value}\r\n`).join('');
  const file = `${part(field)}; filename="big.bin"\r\nContent-Type: application/octet-stream\r\n\r\n`;
  return {
    type: `multipart/form-data; boundary=${boundary}`,
    bytes: Buffer.concat([Buffer.from(head + file), content, Buffer.from(`\r\n--${boundary}--\r\n`)]),
  };
}

suite('big bodies through the gateway', { concurrency: false }, () => {
  const running = new AsyncDisposableStack();
  let gateway: OwnGateway;
  before(async () => {
    const backend = (address: string, path: string, driver: string): string =>
      `{ imap: "imaps://${address}:${lab.port(993)}", webmail: "http://${address}:${lab.port(80)}${path}", driver: ${driver} }`;
    gateway = running.use(
      await startGateway({
        caFile: lab.caFile,
        users: { 'alice@example.test': 'a', 'carol@example.test': 'c', 'dave@example.test': 'd' },
        backends: {
          a: backend('127.0.0.11', '/', 'roundcube'),
          c: backend('127.0.0.13', '/SOGo/', 'sogo'),
          d: backend('127.0.0.14', '/horde/', 'horde'),
        },
      }),
    );
    for (const user of ['alice', 'carol', 'dave'])
      await deliver(lab.port(25), `${user}@example.test`, bigMessage(user));
  });
  after(async () => {
    await running.disposeAsync();
    await removeBigMails('127.0.0.11', 'alice', ['INBOX']);
    await removeBigMails('127.0.0.13', 'carol', ['INBOX', 'Drafts']);
    await removeBigMails('127.0.0.14', 'dave', ['INBOX']);
  });

  async function withFlatMemory(t: TestContext, work: () => Promise<void>): Promise<void> {
    const before = await gateway.memory();
    await work();
    const { now, most } = await gateway.memory();
    t.diagnostic(`memory of the gateway: ${before.now} MiB before, ${now} MiB after, ${most} MiB at most`);
    assert.ok(most - before.now < allowed, `${most - before.now} MiB more`);
  }

  for (const [webmail, field, enter] of [
    ['Roundcube', '_attachments[]', aliceInRoundcube],
    ['SOGo', 'attachments', carolInSogo],
    ['Horde', 'file_upload', daveInHorde],
  ] as const) {
    suite(`of ${webmail}`, { concurrency: false }, () => {
      let correspondent: Correspondent;
      before(async () => {
        correspondent = await enter(gateway);
      });

      test('an attachment of 50 MB comes down as it was', async (t) => {
        const { person, attachment } = correspondent;
        await withFlatMemory(t, async () => {
          const down = await person.get(attachment);
          assert.match(down.headers['content-disposition'] ?? '', /attachment/);
          assert.deepEqual([down.bytes, down.sha256], [received.length, sha256(received)]);
        });
      });

      for (const chunked of [false, true]) {
        test(`25 MB go up as they were, ${chunked ? 'without a length, after asking' : 'with a length'}`, async (t) => {
          const { person, upload, arrived } = correspondent;
          const content = randomBytes(25 * megabyte);
          const { type, bytes } = formOf(upload.fields, field, content);
          await withFlatMemory(t, async () => {
            const length = chunked ? { expect: '100-continue' } : { 'content-length': bytes.length };
            const request = begin(person, 'POST', upload.target, {
              ...upload.headers,
              ...length,
              'content-type': type,
            });
            if (chunked) {
              request.flushHeaders();
              await once(request, 'continue', { signal: AbortSignal.timeout(10_000) });
            }
            request.end(bytes);
            const [response]: unknown[] = await once(request, 'response');
            assert.ok(response instanceof IncomingMessage);
            const answer = Buffer.concat(await response.toArray()).toString();
            assert.equal(response.statusCode, 200, answer);
            assert.ok((await arrived(answer)).includes(sha256(content)), answer);
          });
        });
      }

      test('what is interrupted in either direction leaves the session as it is, and what follows is whole', async (t) => {
        const { person, attachment, upload } = correspondent;
        const { type, bytes } = formOf(upload.fields, field, received);
        await withFlatMemory(t, async () => {
          for (let i = 0; i < 3; i += 1) {
            const headers = { ...upload.headers, 'content-length': bytes.length, 'content-type': type };
            const up = begin(person, 'POST', upload.target, headers);
            up.on('error', () => {});
            up.write(bytes.subarray(0, megabyte), () => up.destroy());
            await new Promise((resolve) => up.once('close', resolve));
            const [response]: unknown[] = await once(begin(person, 'GET', attachment).end(), 'response');
            assert.ok(response instanceof IncomingMessage);
            response.on('error', () => {});
            response.once('data', () => response.destroy());
            await new Promise((resolve) => response.once('close', resolve));
          }
          assert.equal((await person.get(attachment)).sha256, sha256(received));
        });
      });

      test('HEAD brings no body, and a file comes in parts', async () => {
        const { person, attachment, file } = correspondent;
        for (const target of [attachment, file]) {
          const [head]: unknown[] = await once(begin(person, 'HEAD', target).end(), 'response');
          assert.ok(head instanceof IncomingMessage);
          assert.equal((await head.toArray()).length, 0);
          if (target === file) assert.equal(head.headers['content-length'], String((await person.get(file)).bytes));
        }
        const whole = await person.get(file);
        const part = await person.get(file, { headers: { range: 'bytes=100-1099' } });
        assert.deepEqual([part.status, part.bytes], [206, 1000]);
        assert.equal(part.headers['content-range'], `bytes 100-1099/${whole.bytes}`);
        assert.equal(part.body, whole.body.slice(100, 1100));
      });
    });
  }
});

async function removeBigMails(host: string, user: string, folders: readonly string[]): Promise<void> {
  const client = new ImapFlow({
    host,
    port: lab.port(993),
    secure: true,
    tls: { ca: readFileSync(lab.caFile) },
    auth: { user: `${user}@example.test`, pass: `${user}-pw` },
    logger: false,
  });
  await client.connect();
  for (const folder of folders) {
    await client.mailboxOpen(folder);
    await client.messageDelete({ larger: 20 * megabyte });
  }
  await client.logout();
}

function bigMessage(user: string): string {
  const boundary = 'big-boundary';
  return [
    'From: big@elsewhere.test',
    `To: ${user}@example.test`,
    `Subject: ${subject}`,
    'MIME-Version: 1.0',
    `Content-Type: multipart/mixed; boundary=${boundary}`,
    `\n--${boundary}\nContent-Type: text/plain\n\nSee the attachment.\n--${boundary}`,
    'Content-Type: application/octet-stream; name="big.bin"',
    'Content-Disposition: attachment; filename="big.bin"',
    `Content-Transfer-Encoding: base64\n\n${received.toString('base64').replaceAll(/.{76}/g, '$&\n')}`,
    `--${boundary}--\n`,
  ].join('\n');
}
