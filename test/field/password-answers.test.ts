import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BackendHost } from '../../src/core/backend.ts';
import { PosternError } from '../../src/core/error.ts';
import { Secret } from '../../src/core/secrets.ts';
import { createImapMailboxes } from '../../src/passdb/imap-mailboxes.ts';
import { createImapPassdb } from '../../src/passdb/imap.ts';
import { backendLimits } from '../backend-limits.fixture.ts';
import { canonicalUser } from '../login/named.fixture.ts';
import { answers, certificate, commands, serverThat } from '../passdb/hostile-answers.fixture.ts';
import { type Script, ScriptedImap } from '../passdb/scripted-imap.fixture.ts';

const going = new AbortController().signal;
const user = canonicalUser('alice@example.test');
const client = { address: '203.0.113.77', port: 1234, userAgent: undefined };
const context = { client, reference: 'ref-1', limits: { ...backendLimits, imapAuthMs: 2_000 } };

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

/** The result of each use of the server: a word, or the code of its error. */
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

/** The results for a master identity by those of a password check. */
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
