import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BackendHost } from '../../src/core/backend.ts';
import { PosternError } from '../../src/core/error.ts';
import { Secret } from '../../src/core/secret.ts';
import { createImapMailboxes } from '../../src/passdb/imap-mailboxes.ts';
import { createImapPassdb } from '../../src/passdb/imap.ts';
import { backendLimits } from '../backend-limits.ts';
import { canonicalUser } from '../login/named.ts';
import { makeCertificate } from '../passdb/certificates.ts';
import { type Script, ScriptedImap, type Turn } from '../passdb/scripted-imap.ts';

const certificate = makeCertificate('IP:127.0.0.1');
const going = new AbortController().signal;
const user = canonicalUser('alice@example.test');
const client = { address: '203.0.113.77', port: 1234, userAgent: undefined };
const context = { client, reference: 'ref-1', limits: { ...backendLimits, imapAuthMs: 2_000 } };

/** What the server sends when it has the password; `tag` is that of the command. */
interface Answer {
  readonly name: string;
  readonly bytes: (tag: string) => string;
  /** Whether the server hangs up then. */
  readonly closes?: boolean;
  /** `right`, a kind of refusal, or the code of the error where nobody judged the password. */
  readonly says: string;
}

const line = (text: string, says: string): Answer => ({
  name: `TAG ${text}`,
  bytes: (tag) => `${tag} ${text}\r\n`,
  says,
});
const last = (name: string, bytes: Answer['bytes'], says = 'ERR_IMAP_UNAVAILABLE'): Answer => ({
  name: `${name}, and the connection ends`,
  bytes,
  says,
  closes: true,
});
const nextTag = (tag: string) => (Number.parseInt(tag, 16) + 1).toString(16).toUpperCase();

const answers: readonly Answer[] = [
  line('OK', 'right'),
  line('OK Logged in', 'right'),
  line('ok [CAPABILITY IMAP4rev1 UIDPLUS MOVE QUOTA] Logged in', 'right'),
  last('TAG OK', (tag) => `${tag} OK\r\n`, 'right'),
  line('BYE Authentication failed', 'ERR_IMAP_UNAVAILABLE'),
  last('TAG BYE', (tag) => `${tag} BYE\r\n`),
  last('* BYE', () => '* BYE too many errors\r\n'),
  last('* OK', () => '* OK still here\r\n'),
  last('* OK with capabilities', () => '* OK [CAPABILITY IMAP4rev1 MOVE] Logged in\r\n'),
  last('* PREAUTH', () => '* PREAUTH welcome\r\n'),
  last('* NO', () => '* NO [AUTHENTICATIONFAILED] no\r\n'),
  last('a foreign tag', () => 'A001 OK Logged in\r\n'),
  last('the next tag', (tag) => `${nextTag(tag)} OK Logged in\r\n`),
  last('the tag before', () => '1 OK Logged in\r\n'),
  last('a continuation that looks like a yes', (tag) => `+ ${tag} OK\r\n`),
  last('nothing', () => ''),
  last('half a tag', (tag) => tag.slice(0, -1)),
  last('half an OK', (tag) => `${tag} O`),
  last('an OK without an end of line', (tag) => `${tag} OK`),
  last('a NO without an end of line', (tag) => `${tag} NO`),
  last('a yes inside of a literal', (tag) => `* OK {${tag.length + 5}}\r\n${tag} OK\r\n\r\n`),
  last('a yes inside of a literal that does not end', (tag) => `* OK {900}\r\n${tag} OK\r\n`),
  last('a quoted yes', (tag) => `"${tag}" OK\r\n`),
  { name: 'a huge literal', bytes: () => '* OK {999999999}\r\n', says: 'ERR_IMAP_PROTOCOL' },
  { name: 'OK without a tag', bytes: () => 'OK Logged in\r\n', closes: true, says: 'ERR_IMAP_UNAVAILABLE' },
  { name: 'NO without a tag', bytes: () => 'NO wrong password\r\n', says: 'ERR_IMAP_PROTOCOL' },
  { name: 'BAD without a tag', bytes: () => 'BAD wrong password\r\n', says: 'ERR_IMAP_PROTOCOL' },
  line('PREAUTH welcome', 'ERR_IMAP_PROTOCOL'),
  line('OKAY', 'ERR_IMAP_PROTOCOL'),
  line('"OK"', 'ERR_IMAP_PROTOCOL'),
  line('', 'ERR_IMAP_PROTOCOL'),
  line('BAD', 'ERR_IMAP_PROTOCOL'),
  line('BAD [CLIENTBUG] what?', 'ERR_IMAP_PROTOCOL'),
  line('BAD Request is throttled. Suggested Backoff Time: 1 milliseconds', 'ERR_IMAP_UNAVAILABLE'),
  // imapflow takes this one for success, whatever the command was.
  line('NO Some of the requested messages no longer exist', 'wrong'),
  line('NO', 'wrong'),
  line('NO LOGIN failed', 'wrong'),
  line('NO [AUTHENTICATIONFAILED] no', 'wrong'),
  line('NO [AUTHORIZATIONFAILED] no', 'wrong'),
  line('NO [NONEXISTENT] no', 'wrong'),
  line('NO [X-OWN] no', 'wrong'),
  line('NO [ALERT] Invalid credentials (Failure)', 'wrong'),
  line('NO [EXPIRED] no', 'expired'),
  line('NO [CONTACTADMIN] no', 'contact-admin'),
  line('NO [NOPERM] no', 'contact-admin'),
  line('NO [PRIVACYREQUIRED] no', 'insecure'),
  line('NO [UNAVAILABLE] no', 'ERR_IMAP_UNAVAILABLE'),
  line('NO [INUSE] no', 'ERR_IMAP_UNAVAILABLE'),
  line('NO [LIMIT] no', 'ERR_IMAP_UNAVAILABLE'),
  line('NO [OVERQUOTA] no', 'ERR_IMAP_UNAVAILABLE'),
  line('NO [SERVERBUG] no', 'ERR_IMAP_UNAVAILABLE'),
  line('NO [CORRUPTION] no', 'ERR_IMAP_UNAVAILABLE'),
  line('NO [CLIENTBUG] no', 'ERR_IMAP_PROTOCOL'),
  line('NO [CANNOT] no', 'ERR_IMAP_PROTOCOL'),
  line('NO [ALREADYEXISTS] no', 'ERR_IMAP_PROTOCOL'),
  line('NO [EXPUNGEISSUED] no', 'ERR_IMAP_PROTOCOL'),
];

/** How the password goes to the server, by what it offers. */
const commands: readonly (readonly [name: string, capabilities: string])[] = [
  ['LOGIN', 'IMAP4rev1 NAMESPACE QUOTA'],
  ['AUTHENTICATE PLAIN', 'IMAP4rev1 NAMESPACE QUOTA LOGINDISABLED AUTH=PLAIN'],
  ['AUTHENTICATE PLAIN where SASL-IR is offered', 'IMAP4rev1 NAMESPACE QUOTA LOGINDISABLED SASL-IR AUTH=PLAIN'],
  ['AUTHENTICATE LOGIN', 'IMAP4rev1 NAMESPACE QUOTA LOGINDISABLED AUTH=LOGIN'],
];

function serverThat(capabilities: string, { bytes, closes }: Pick<Answer, 'bytes' | 'closes'>): Script {
  let pending: { readonly tag: string; left: number } | undefined;
  const reply = ({ socket }: Turn, tag: string) => {
    if (closes === true) socket.end(bytes(tag));
    else socket.write(bytes(tag));
  };
  return {
    certificate,
    greeting: '* OK ready',
    answer(turn) {
      const { tag, command, line } = turn;
      if (pending !== undefined) {
        pending.left -= 1;
        if (pending.left > 0) return turn.say('+ ');
        const { tag } = pending;
        pending = undefined;
        return reply(turn, tag);
      }
      if (command === 'CAPABILITY') turn.say(`* CAPABILITY ${capabilities}`, `${tag} OK`);
      else if (command === 'NAMESPACE') turn.say('* NAMESPACE (("" "/")) NIL NIL', `${tag} OK`);
      else if (command === 'LOGOUT') turn.say('* BYE', `${tag} OK`);
      else if (command === 'APPEND') turn.say(`${tag} NO full`);
      else if (command === 'AUTHENTICATE') {
        turn.say('+ ');
        pending = { tag, left: line.endsWith(' LOGIN') ? 2 : 1 };
      } else if (command === 'LOGIN') reply(turn, tag);
      else turn.say(`${tag} BAD unknown`);
    },
  };
}

function hostOn(port: number): BackendHost {
  return {
    name: 'a',
    imap: { hostname: '127.0.0.1', port, security: 'tls', trust: { ca: certificate.cert } },
    webmail: { origin: 'http://127.0.0.1', landing: '/', trust: {} },
  };
}

const mailboxOn = (host: BackendHost) => ({
  user,
  master: { user: 'postern', password: new Secret('pa55-word'), separator: '*' },
  host,
  context,
});

/** What each use makes of the server: a word, or the code of its error. */
const uses: Readonly<Record<string, (host: BackendHost) => Promise<string>>> = {
  'the password check': async (host) =>
    (await createImapPassdb().verify({ user, password: new Secret('pa55-word') }, host, context, going)).kind,
  'the server that refers users home': async (host) =>
    (await createImapPassdb().ask({ user, password: new Secret('pa55-word') }, host, context, going)).kind,
  'the master entry': async (host) => {
    const answer = await createImapMailboxes().open(mailboxOn(host), going);
    return answer.kind === 'done' ? 'right' : answer.why;
  },
  'a message into a mailbox': async (host) => {
    const answer = await createImapMailboxes().append(mailboxOn(host), 'Subject: x\r\n\r\n', going);
    return answer.kind === 'done' ? 'right' : answer.why;
  },
};

async function outcomeOf(script: Script, use: (host: BackendHost) => Promise<string>): Promise<string> {
  await using server = await ScriptedImap.start(script);
  const outcome = await use(hostOn(server.port)).catch((error: unknown) => {
    assert.ok(error instanceof PosternError, String(error));
    assert.equal(error.source, 'imap');
    assert.doesNotMatch(`${error.message} ${String(error.cause)}`, /pa55-word/);
    return error.code;
  });
  await server.abandoned();
  return outcome;
}

const isMaster = (use: string) => use.startsWith('the master') || use.startsWith('a message');

/** What a master identity is told for what a password check says. */
function forMaster(says: string, name: string, closes: boolean | undefined): string {
  if (says.startsWith('ERR_')) return says;
  if (says !== 'right') return name.includes('AUTHORIZATIONFAILED') ? 'user-refused' : 'master-refused';
  return closes === true ? 'ERR_IMAP_UNAVAILABLE' : 'right';
}

for (const [command, capabilities] of commands) {
  describe(`an answer to ${command}`, () => {
    for (const [use, ask] of Object.entries(uses)) {
      // A master identity is sent by AUTH=PLAIN alone.
      if (isMaster(use) && !capabilities.includes('AUTH=PLAIN')) continue;
      for (const answer of answers) {
        const checked = isMaster(use) ? forMaster(answer.says, answer.name, answer.closes) : answer.says;
        const expected = checked === 'right' && use.startsWith('a message') ? 'not-written' : checked;
        it(`${answer.name}: ${use} says ${expected}`, async () => {
          assert.equal(await outcomeOf(serverThat(capabilities, answer), ask), expected);
        });
      }
    }
  });
}

describe('an answer that comes before the password', () => {
  const early = ['OK Logged in', 'BYE', 'BAD', 'NO', 'NO [AUTHENTICATIONFAILED] no', 'PREAUTH'];
  for (const text of early) {
    for (const [use, ask] of Object.entries(uses)) {
      it(`TAG ${text}: ${use} takes it for no verdict`, async () => {
        const capabilities = 'IMAP4rev1 LOGINDISABLED AUTH=PLAIN';
        const script = serverThat(capabilities, { bytes: () => '' });
        const outcome = await outcomeOf(
          {
            ...script,
            answer: (turn) =>
              turn.command === 'AUTHENTICATE' ? turn.say(`${turn.tag} ${text}`) : script.answer?.(turn),
          },
          ask,
        );
        const noWay = isMaster(use) && /^(?:NO|BAD)/.test(text);
        assert.match(outcome, noWay ? /^no-authorization-id$/ : /^ERR_IMAP_/);
      });
    }
  }
});

describe('an exchange that the server asks more for than its mechanism has', () => {
  const mechanisms: readonly (readonly [name: string, replies: number])[] = [
    ['PLAIN', 1],
    ['LOGIN', 2],
  ];
  for (const [mechanism, replies] of mechanisms) {
    for (const [use, ask] of Object.entries(uses)) {
      if (isMaster(use) && mechanism !== 'PLAIN') continue;
      it(`AUTHENTICATE ${mechanism} is cancelled, and an OK behind that is no yes: ${use}`, async () => {
        let tag = '';
        let asked = 0;
        const sent: string[] = [];
        const script = serverThat(`IMAP4rev1 LOGINDISABLED AUTH=${mechanism}`, { bytes: () => '' });
        const outcome = await outcomeOf(
          {
            ...script,
            answer(turn) {
              const isOver = asked > replies + 1;
              if (isOver || (tag === '' && turn.command !== 'AUTHENTICATE')) return script.answer?.(turn);
              if (tag === '') tag = turn.tag;
              else sent.push(turn.line);
              asked += 1;
              turn.say(asked <= replies + 1 ? '+ ' : `${tag} OK Logged in`);
            },
          },
          ask,
        );
        assert.equal(outcome, 'ERR_IMAP_PROTOCOL');
        assert.equal(sent[replies], '*');
      });
    }
  }
});
