import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackendHost } from '../../src/core/backend.ts';
import { PosternError } from '../../src/core/error.ts';
import type { MailboxAnswer, MailboxOf } from '../../src/core/passdb.ts';
import { Secret } from '../../src/core/secrets.ts';
import { createImapMailboxes } from '../../src/passdb/imap-mailboxes.ts';
import { backendLimits } from '../backend-limits.fixture.ts';
import { canonicalUser } from '../login/named.fixture.ts';
import { makeCertificate } from './certificates.fixture.ts';
import { type Script, ScriptedImap, type Turn } from './scripted-imap.fixture.ts';

const certificate = makeCertificate('IP:127.0.0.1');
const going = new AbortController().signal;
const mailboxes = createImapMailboxes();

interface Server {
  readonly capabilities?: string;
  readonly greeting?: string;
  readonly name?: string;
  /** The answer to NAMESPACE; with a delimiter the personal one is NIL, as Cyrus tells an admin. */
  readonly delimiter?: string;
  /** The tagged answer to an authentication; OK if left out. */
  readonly verdict?: (identity: Identity) => string;
  /** The mailboxes that the server shows to a master. */
  readonly shown?: readonly string[];
  readonly append?: (turn: Turn) => void;
}

interface Identity {
  readonly authzid: string;
  readonly authcid: string;
  readonly password: string;
}

/** A server that keeps the users of its logins. */
function server(say: Server, identities: Identity[]): Script {
  let pending = '';
  let message: { readonly tag: string; left: number } | undefined;
  return {
    certificate,
    greeting: say.greeting ?? '* OK ready',
    answer(turn) {
      const { tag, command, line } = turn;
      if (message !== undefined) {
        message.left -= Buffer.byteLength(line) + 2;
        if (message.left <= -2) turn.say(`${message.tag} OK`);
        if (message.left <= -2) message = undefined;
      } else if (pending !== '') {
        const [authzid = '', authcid = '', password = ''] = Buffer.from(line, 'base64').toString().split('\0');
        identities.push({ authzid, authcid, password });
        turn.say(`${pending} ${say.verdict?.({ authzid, authcid, password }) ?? 'OK'}`);
        pending = '';
      } else if (command === 'CAPABILITY') turn.say(`* CAPABILITY ${say.capabilities ?? plain}`, `${tag} OK`);
      else if (command === 'ID') turn.say(`* ID ("name" "${say.name ?? 'test'}")`, `${tag} OK`);
      else if (command === 'NAMESPACE') turn.say(namespaceOf(say), `${tag} OK`);
      else if (command === 'LIST') turn.say(`* LIST (\\Noselect) "${say.delimiter ?? '/'}" ""`, `${tag} OK`);
      else if (command === 'AUTHENTICATE') {
        turn.say('+ ');
        pending = tag;
      } else if (command === 'GETQUOTAROOT') {
        const name = / "?([^" ]+)"?$/.exec(line)?.[1] ?? '';
        if (say.shown?.includes(name) === true) turn.say(`* QUOTAROOT ${name}`, `${tag} OK`);
        else turn.say(`${tag} NO Mailbox does not exist`);
      } else if (command === 'APPEND') {
        const size = Number(/\{(\d+)\}$/.exec(line)?.[1]);
        if (say.append !== undefined) return say.append(turn);
        turn.say('+ go on');
        message = { tag, left: size };
      } else if (command === 'LOGIN') turn.say(`${tag} OK`);
      else turn.say(`${tag} BAD unknown`);
    },
  };
}

function namespaceOf({ delimiter }: Server): string {
  if (delimiter === undefined) return '* NAMESPACE (("" "/")) NIL NIL';
  return `* NAMESPACE NIL (("user${delimiter}" "${delimiter}")) (("" "${delimiter}"))`;
}

const plain = 'IMAP4rev1 ID AUTH=PLAIN NAMESPACE QUOTA';
const cyrus = '* OK test Cyrus IMAP 3.6.1 server ready';
const asAlice: Identity = { authzid: 'alice@example.test', authcid: 'postern', password: 'master-pw' };
const asMaster: Identity = { authzid: '', authcid: 'postern', password: 'master-pw' };

function mailboxOn(port: number, user = 'alice@example.test', masterName = 'postern'): MailboxOf {
  const host: BackendHost = {
    name: 'a',
    imap: { hostname: '127.0.0.1', port, security: 'tls', trust: { ca: certificate.cert } },
    webmail: { origin: 'http://127.0.0.1', landing: '/', trust: {} },
  };
  const client = { address: '203.0.113.77', port: 1234, userAgent: undefined };
  return {
    user: canonicalUser(user),
    master: { user: masterName, password: new Secret('master-pw'), separator: '*' },
    host,
    context: { client, reference: 'ref-1', limits: backendLimits },
  };
}

async function opened(say: Server, user?: string, masterName?: string) {
  const identities: Identity[] = [];
  await using running = await ScriptedImap.start(server(say, identities));
  const answer = await mailboxes.open(mailboxOn(running.port, user, masterName), going);
  await running.abandoned();
  return { answer, identities, lines: running.lines, connections: running.connections };
}

function refused(answer: MailboxAnswer): string {
  return answer.kind === 'refused' ? answer.why : answer.kind;
}

test('the master is authenticated, and authorized as the user', async () => {
  const { answer, identities } = await opened({});
  assert.deepEqual(answer, { kind: 'done' });
  assert.deepEqual(identities, [asAlice]);
});

test('a server without AUTH=PLAIN is not asked: LOGIN would open the mailbox of the master itself', async () => {
  for (const capabilities of ['IMAP4rev1 NAMESPACE', 'IMAP4rev1 AUTH=LOGIN', 'IMAP4rev1 ID AUTH=GSSAPI']) {
    const { answer, identities, lines } = await opened({ capabilities });
    assert.equal(refused(answer), 'no-authorization-id');
    assert.deepEqual(identities, []);
    assert.ok(!lines.some((line) => /LOGIN|AUTHENTICATE|master-pw/.test(line)), lines.join('\n'));
  }
});

test('a master whose name holds a slash is not signed in by LOGIN either', async () => {
  const { identities, lines } = await opened({}, undefined, 'DOMAIN\\post/ern');
  assert.deepEqual(identities, [{ ...asAlice, authcid: 'DOMAIN\\post/ern' }]);
  assert.ok(!lines.some((line) => / LOGIN /.test(line)));
});

test('a session that was greeted as authenticated belongs to nobody', async () => {
  const attempt = opened({ greeting: '* PREAUTH welcome' });
  await assert.rejects(attempt, { code: 'ERR_IMAP_PROTOCOL', source: 'imap', retryable: false });
});

const verdicts: readonly (readonly [line: string, why: string])[] = [
  ['NO [AUTHORIZATIONFAILED] Authorization failed', 'user-refused'],
  ['NO [AUTHENTICATIONFAILED] Authentication failed.', 'master-refused'],
  ['NO authentication failure', 'master-refused'],
];
for (const [line, why] of verdicts) {
  test(`"${line}" is a refusal: ${why}`, async () => {
    assert.equal(refused((await opened({ verdict: () => line })).answer), why);
  });
}

test('a server that says later could not be asked', async () => {
  const attempt = opened({ verdict: () => 'NO [UNAVAILABLE] later' });
  await assert.rejects(attempt, { code: 'ERR_IMAP_UNAVAILABLE', retryable: true });
});

test('a name that would end its field is refused without asking', async () => {
  const { answer, connections } = await opened({}, 'alice\0bob');
  assert.deepEqual([refused(answer), connections], ['user-refused', 0]);
});

test('Cyrus, which makes mailboxes for unknown names, is asked as the master first, and then entered', async () => {
  const { answer, identities } = await opened({ greeting: cyrus, delimiter: '/', shown: ['user/alice@example.test'] });
  assert.equal(answer.kind, 'done');
  assert.deepEqual(identities, [asMaster, asAlice]);
});

test('a mailbox that Cyrus does not show is never entered', async () => {
  for (const say of [{ greeting: cyrus }, { name: 'Cyrus IMAPD' }]) {
    const { answer, identities } = await opened(say);
    assert.equal(refused(answer), 'not-shown');
    assert.deepEqual(identities, [asMaster]);
  }
});

test('a master that Cyrus refuses is told apart from one to whom it shows nothing', async () => {
  const { answer } = await opened({ greeting: cyrus, verdict: () => 'NO authentication failure' });
  assert.equal(refused(answer), 'master-refused');
});

test('where Cyrus separates by dots, those of a name are written as it writes them', async () => {
  const { answer } = await opened(
    { greeting: cyrus, delimiter: '.', shown: ['user.al^ice@example.test'] },
    'al.ice@example.test',
  );
  assert.equal(answer.kind, 'done');
});

async function appended(say: Server, message: string) {
  const identities: Identity[] = [];
  await using running = await ScriptedImap.start(server(say, identities));
  const answer = await mailboxes.append(mailboxOn(running.port), message, going);
  return { answer, identities, lines: running.lines };
}

test('a message is put into the INBOX of the user, unread', async () => {
  const message = 'Subject: hello\r\n\r\nPaß\r\n';
  const { answer, identities, lines } = await appended({}, message);
  assert.equal(answer.kind, 'done');
  assert.deepEqual(identities, [asAlice]);
  const at = lines.findIndex((line) => line.includes(' APPEND '));
  assert.match(lines[at] ?? '', new RegExp(`^\\S+ APPEND INBOX \\{${Buffer.byteLength(message)}\\}$`));
  assert.deepEqual(lines.slice(at + 1, at + 4), ['Subject: hello', '', 'Paß']);
});

test('a message that the server does not take is a refusal', async () => {
  for (const code of ['[OVERQUOTA] full', '[NOPERM] no', 'no']) {
    const { answer } = await appended({ append: (turn) => turn.say(`${turn.tag} NO ${code}`) }, 'x: y\r\n\r\n');
    assert.equal(refused(answer), 'not-written');
  }
});

test('a server that hangs up over a message could not be asked', async () => {
  const attempt = appended({ append: ({ socket }) => void socket.destroy() }, 'x: y\r\n\r\n');
  await assert.rejects(attempt, (error) => error instanceof PosternError && error.source === 'imap');
});

test('an abort ends the call', async () => {
  const cancel = new AbortController();
  await using running = await ScriptedImap.start({ certificate, connected: () => cancel.abort() });
  await assert.rejects(mailboxes.open(mailboxOn(running.port), cancel.signal), { code: 'ERR_DEADLINE' });
  await running.abandoned();
});
