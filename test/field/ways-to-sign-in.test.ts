import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PasswordCheck } from '../../src/core/passdb.ts';
import { Secret } from '../../src/core/secrets.ts';
import { createImapPassdb } from '../../src/passdb/imap.ts';
import { backendLimits } from '../backend-limits.fixture.ts';
import { canonicalUser } from '../login/named.fixture.ts';
import { makeCertificate } from '../passdb/certificates.fixture.ts';
import { type Script, ScriptedImap } from '../passdb/scripted-imap.fixture.ts';
import { readDialogue, serverOf } from './imap-dialogue.fixture.ts';
import { readFieldInput } from './input.fixture.ts';

const certificate = makeCertificate('IP:127.0.0.1');
const going = new AbortController().signal;

async function checked(script: Script, password: string, user = 'alice@example.test') {
  await using server = await ScriptedImap.start(script);
  const imap = {
    hostname: '127.0.0.1',
    port: server.port,
    security: 'tls',
    trust: { ca: certificate.cert },
  } as const;
  const client = { address: '203.0.113.77', port: 1234, userAgent: undefined };
  const context = { client, reference: 'ref-1', limits: backendLimits };
  const credentials = { user: canonicalUser(user), password: new Secret(password) };
  const outcome = await createImapPassdb()
    .verify(credentials, { name: 'a', imap }, context, going)
    .then(
      (check: PasswordCheck) => check.kind,
      (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
    );
  await server.abandoned();
  const sent = server.lines.map((line) => line.replace(/^\S+ (?=[A-Z]+\b)/, ''));
  return { outcome, sent, connections: server.connections };
}

const passwordsSent = (lines: readonly string[]) => lines.filter((line) => /^LOGIN |^AUTHENTICATE /.test(line));

/** A server with these answers to commands, and OK to others. */
function server(capabilities: string, answers: Readonly<Record<string, readonly string[]>>): Script {
  const dialogue = new Map(Object.entries({ CAPABILITY: [`* CAPABILITY ${capabilities}`, '<tag> OK'], ...answers }));
  return serverOf({ greeting: '* OK ready', answers: dialogue, otherRuns: [] }, certificate);
}

describe('a server that refuses AUTHENTICATE', () => {
  it('is asked by LOGIN once, on the same connection, where it is a Perdition that announces what others can', async () => {
    const dialogue = readDialogue((await readFieldInput('I4-perdition-auth-plain.imap')).toString());
    const { outcome, sent, connections } = await checked(serverOf(dialogue, certificate), 'right');
    assert.equal(outcome, 'right');
    assert.deepEqual(passwordsSent(sent), ['AUTHENTICATE PLAIN', 'LOGIN "alice@example.test" "right"']);
    assert.equal(connections, 1);
  });

  it('judges by its LOGIN alone', async () => {
    const dialogue = readDialogue((await readFieldInput('I4-perdition-auth-plain.imap')).toString());
    const { outcome, sent } = await checked(serverOf(dialogue, certificate, '<tag> NO Login failed'), 'false');
    assert.equal(outcome, 'wrong');
    assert.equal(passwordsSent(sent).length, 2);
  });

  const refusals: readonly (readonly [when: string, answers: Readonly<Record<string, readonly string[]>>])[] = [
    ['before the password', { AUTHENTICATE: ['<tag> NO not here'] }],
    ['as an unknown command', { AUTHENTICATE: ['<tag> BAD Unrecognised command, mate'] }],
    ['with a code, before the password', { AUTHENTICATE: ['<tag> NO [AUTHENTICATIONFAILED] not here'] }],
    [
      'as a mechanism, after the password',
      { AUTHENTICATE: ['+ '], reply: ['<tag> NO AUTHENTICATE mechanism not supported, mate'] },
    ],
  ];
  for (const [when, answers] of refusals) {
    it(`${when}: one LOGIN follows`, async () => {
      const said = { ...answers, LOGIN: ['<tag> OK You are so in'] };
      const { outcome, sent } = await checked(server('IMAP4rev1 AUTH=PLAIN SASL-IR', said), 'right');
      assert.equal(outcome, 'right');
      assert.deepEqual(passwordsSent(sent).length, 2);
    });

    it(`${when}: nothing follows where it takes no LOGIN, and nobody has judged the password`, async () => {
      const said = { ...answers, LOGIN: ['<tag> OK You are so in'] };
      const { outcome, sent } = await checked(server('IMAP4rev1 AUTH=PLAIN LOGINDISABLED', said), 'right');
      assert.equal(outcome, 'ERR_IMAP_PROTOCOL');
      assert.deepEqual(passwordsSent(sent).length, 1);
    });
  }

  const judged = ['NO wrong', 'NO [AUTHENTICATIONFAILED] bad mechanism', 'NO [UNAVAILABLE] later', 'NO [EXPIRED] old'];
  for (const answer of judged) {
    it(`after the password, with "${answer}": it is not sent twice`, async () => {
      const said = { AUTHENTICATE: ['+ '], reply: [`<tag> ${answer}`], LOGIN: ['<tag> OK'] };
      const { outcome, sent } = await checked(server('IMAP4rev1 AUTH=PLAIN', said), 'false');
      assert.notEqual(outcome, 'right');
      assert.deepEqual(passwordsSent(sent), ['AUTHENTICATE PLAIN']);
    });
  }

  it('and hangs up at LOGIN could not be asked', async () => {
    const script = server('IMAP4rev1 AUTH=PLAIN', { AUTHENTICATE: ['<tag> NO'] });
    const answer: Script['answer'] = (turn) =>
      turn.command === 'LOGIN' ? void turn.socket.destroy() : script.answer?.(turn);
    const { outcome } = await checked({ ...script, answer }, 'right');
    assert.equal(outcome, 'ERR_IMAP_UNAVAILABLE');
  });
});

describe('a password that is not plain ASCII', () => {
  const password = 'pässwört €';

  it('goes to a server that knows LOGIN alone as a literal of its UTF-8 bytes', async () => {
    const text = (await readFieldInput('I10-login-only-utf8.imap')).toString();
    const { outcome, sent } = await checked(serverOf(readDialogue(text), certificate), password, 'alice');
    assert.equal(outcome, 'right');
    const at = sent.indexOf('LOGIN "alice" {14}');
    assert.notEqual(at, -1, sent.join('\n'));
    assert.equal(sent[at + 1], password);
  });

  it('is not waited for where the server takes literals at once', async () => {
    const script = server('IMAP4rev1 LITERAL+', { LOGIN: [] });
    let tag = '';
    const answer: Script['answer'] = (turn) => {
      if (turn.command === 'LOGIN') ({ tag } = turn);
      if (turn.line === password) turn.say(`${tag} OK`);
      else script.answer?.(turn);
    };
    const { outcome, sent } = await checked({ ...script, answer }, password);
    assert.equal(outcome, 'right');
    assert.ok(sent.includes('LOGIN "alice@example.test" {14+}'), sent.join('\n'));
  });

  it('is judged by no answer that comes before its bytes were sent', async () => {
    for (const early of ['<tag> OK You are so in', '<tag> NO no', '<tag> BAD what?']) {
      const { outcome, sent } = await checked(server('IMAP4rev1', { LOGIN: [early] }), password);
      assert.match(String(outcome), /^ERR_IMAP_/, early);
      assert.ok(!sent.includes(password));
    }
  });

  it('is a literal beside a name that is one, too', async () => {
    const said = { LOGIN: ['+ go on'], reply: ['+ go on'] };
    const script = server('IMAP4rev1', said);
    const answer: Script['answer'] = (turn) =>
      turn.line.endsWith(' {14}') || !turn.line.endsWith(password) ? script.answer?.(turn) : turn.socket.end();
    const { sent } = await checked({ ...script, answer }, password, 'ålice@example.test');
    assert.ok(sent.includes('LOGIN {19}'), sent.join('\n'));
    assert.ok(sent.includes('ålice@example.test {14}'), sent.join('\n'));
    assert.ok(sent.includes(password), sent.join('\n'));
  });
});
