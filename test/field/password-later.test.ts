import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { ImapEndpoint } from '../../src/core/backend.ts';
import type { Log } from '../../src/core/log.ts';
import type { PasswordCheck, ServerWords } from '../../src/core/passdb.ts';
import { Secret } from '../../src/core/secrets.ts';
import { startGateway } from '../../src/gateway.ts';
import { knownTexts } from '../../src/passdb/imap-known-texts.ts';
import { createImapPassdb } from '../../src/passdb/imap.ts';
import { backendLimits } from '../backend-limits.fixture.ts';
import { createMachines, signInAt } from '../gateway/machines.fixture.ts';
import { canonicalUser } from '../login/named.fixture.ts';
import { makeCertificate } from '../passdb/certificates.fixture.ts';
import { type Script, ScriptedImap } from '../passdb/scripted-imap.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { readDialogue, serverOf } from './imap-dialogue.fixture.ts';
import { readFieldInput } from './input.fixture.ts';

const certificate = makeCertificate('IP:127.0.0.1');
const going = new AbortController().signal;
const client = { address: '203.0.113.77', port: 1234, userAgent: undefined };

interface Asked {
  readonly outcome: PasswordCheck | { readonly code: string };
  readonly said: readonly ServerWords[];
}

async function asked(script: Script, own: Partial<ImapEndpoint> = {}, password = 'wonderland'): Promise<Asked> {
  await using server = await ScriptedImap.start(script);
  const trust = { ca: certificate.cert };
  const imap = { hostname: '127.0.0.1', port: server.port, security: 'tls', trust, ...own } as const;
  const said: ServerWords[] = [];
  const heard = (words: ServerWords) => void said.push(words);
  const context = { client, reference: 'ref-1', limits: backendLimits, heard };
  const credentials = { user: canonicalUser('alice@example.test'), password: new Secret(password) };
  const outcome = await createImapPassdb()
    .verify(credentials, { name: 'a', imap }, context, going)
    .catch((error: unknown) => {
      assert.ok(error instanceof Error && 'code' in error && typeof error.code === 'string', String(error));
      return { code: error.code };
    });
  return { outcome, said };
}

/** A server that answers a password with one line. */
function answering(line: string, greeting = '* OK ready'): Script {
  const answers = new Map([
    ['CAPABILITY', ['* CAPABILITY IMAP4rev1 AUTH=PLAIN', '<tag> OK']],
    ['AUTHENTICATE', ['+ ']],
    ['reply', [`<tag> ${line}`]],
  ]);
  return serverOf({ greeting, answers, otherRuns: [] }, certificate);
}

describe('"later" without a response code', () => {
  it('is no verdict of Exchange', async () => {
    const dialogue = readDialogue((await readFieldInput('I1-exchange-unavailable.imap')).toString());
    const { outcome, said } = await asked(serverOf(dialogue, certificate));
    assert.deepEqual(outcome, { code: 'ERR_IMAP_UNAVAILABLE' });
    assert.deepEqual(said, [{ text: 'Server Unavailable. 15' }]);
  });

  it('is no verdict of Zimbra, whose other texts mean what they say', async () => {
    const dialogue = readDialogue((await readFieldInput('I2-zimbra-maintenance.imap')).toString());
    assert.equal(dialogue.otherRuns.length, 2);
    const outcomes = [];
    for (const last of [undefined, ...dialogue.otherRuns])
      outcomes.push((await asked(serverOf(dialogue, certificate, last))).outcome);
    assert.deepEqual(outcomes, [
      { code: 'ERR_IMAP_UNAVAILABLE' },
      { kind: 'expired' },
      { code: 'ERR_IMAP_UNAVAILABLE' },
    ]);
  });

  const told: readonly (readonly [server: string, line: string])[] = [
    ['Exchange', 'BAD Server Unavailable. 15'],
    ['Exchange', 'NO Server Unavailable. 21'],
    ['Exchange Online', 'NO Server Busy. Please try again later.'],
    ['Exchange Online', 'BAD Request is throttled. Suggested Backoff Time: 1 milliseconds'],
    ['Zimbra', 'NO [ALERT] account undergoing maintenance; please try again later'],
    ['Zimbra', 'NO LOGIN failed (wrong host)'],
    ['Cyrus', 'NO no response'],
    ['Cyrus', 'NO Login failed: generic failure'],
    ['Cyrus', 'NO Login failed: cannot connect to saslauthd server: Connection refused'],
    ['Cyrus', 'NO Server(s) unavailable to complete operation'],
    ['Cyrus', 'NO System I/O error'],
    ['Cyrus', 'NO Login failed: remote authentication server unavailable'],
    ['Cyrus', 'NO Login failed: transient failure (e.g., weak key)'],
    ['nginx', 'NO Temporary server problem, try again later'],
    ['Courier', 'NO Temporary problem, please try again later'],
    ['Courier', 'NO Login failed: temporary failure'],
    ['Dovecot', 'NO Temporary authentication failure. [mail-a:2026-11-30 08:00:00]'],
    ['Dovecot', 'NO [ALERT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)'],
    ['Dovecot', 'NO Internal error occurred. Refer to server log for more information.'],
    ['Dovecot', 'NO Internal login failure. Refer to server log for more information.'],
    ['Gmail', 'NO System Error (Failure)'],
    ['Gmail', 'NO [ALERT] Temporary System Error'],
    ['a gateway of POP3', 'NO [SYS/TEMP] try later'],
    ['a gateway of POP3', 'NO [IN-USE] the mailbox is locked'],
    ['a server that says BAD', 'BAD [UNAVAILABLE] later'],
    ['Perdition', 'BAD failed: Could not connect to server'],
    ['Perdition', 'NO failed: Connection Negotiation Failure'],
    ['Perdition', 'NO failed: TLS not present'],
    ['Perdition', 'NO failed: Login Disabled'],
    ['Gmail', 'NO [ALERT] Too many simultaneous connections. (Failure)'],
    ['Gmail', 'NO [ALERT] Account exceeded command or bandwidth limits. (Failure)'],
    ['Gmail', 'NO [OVERQUOTA] Account exceeded command or bandwidth limits.'],
    ['Yahoo', 'NO [TEMPFAIL] SELECT completed'],
  ];
  for (const [server, line] of told) {
    it(`is no verdict of ${server}: "${line}"`, async () => {
      assert.deepEqual((await asked(answering(line))).outcome, { code: 'ERR_IMAP_UNAVAILABLE' });
    });
  }

  it('is told for every server of the table', () => {
    const tried = new Set(told.map(([server]) => server));
    assert.deepEqual(
      knownTexts.filter(({ server, source }) => !tried.has(server) || source === ''),
      [],
    );
  });

  const verdicts = [
    'NO [AUTHENTICATIONFAILED] Temporary authentication failure.',
    'NO [ALERT] Invalid credentials (Failure)',
    'NO LOGIN failed',
    'NO there was an internal error in what you typed',
    'NO [ALERT] the system error (Failure) is yours',
    // With server_resp_line Perdition passes on the words of the server behind it.
    'NO failed: Re-Authentication Failure',
    'NO Login failed: authentication failure',
    'NO something that nobody knows, at a later time',
    'NO the server is unavailable for persons who mistype',
  ];
  for (const line of verdicts) {
    it(`is not read into "${line}"`, async () => {
      assert.deepEqual((await asked(answering(line))).outcome, { kind: 'wrong' });
    });
  }

  it('may be said in words of the site’s own, in any case', async () => {
    const own = { laterTexts: ['nightly backup'] };
    const line = 'NO [X-SITE] The Nightly Backup runs';
    assert.deepEqual((await asked(answering(line), own)).outcome, { code: 'ERR_IMAP_UNAVAILABLE' });
    assert.deepEqual((await asked(answering(line))).outcome, { kind: 'wrong' });
    assert.deepEqual((await asked(answering('NO no'), own)).outcome, { kind: 'wrong' });
  });
});

describe('what the log is told of a refusal', () => {
  const password = 'pa55 "wörd\\ of alice';
  const sent = Buffer.from(`\0alice@example.test\0${password}`).toString('base64');
  const echoes: readonly (readonly [how: string, text: string])[] = [
    ['as it is', `no such password: ${password}`],
    ['in upper case', `NO ${password.toUpperCase()}`],
    ['quoted', `cannot read LOGIN "alice" "${password.replace(/["\\]/g, '\\$&')}"`],
    ['in part', `cannot read: of ali ${password.slice(3, 14)}`],
    ['as it was sent', `bad SASL reply ${sent}`],
    ['as part of what was sent', `bad SASL reply ${sent.slice(12, 30)}`],
    ['in base64', Buffer.from(password).toString('base64')],
    ['as an address has it', `?p=${encodeURIComponent(password)}`],
  ];
  for (const [how, text] of echoes) {
    it(`is nothing of a password that the server repeats ${how}`, async () => {
      const { said } = await asked(answering(`NO [ALERT] ${text}`), {}, password);
      assert.deepEqual(said, [{ text: '(not shown: it repeats the password)' }]);
    });
  }

  it('is nothing of a password that comes back as the response code', async () => {
    const { said } = await asked(answering('NO [SESAME-OPEN] no'), {}, 'sesame-open');
    assert.deepEqual(said, [{ text: '(not shown: it repeats the password)' }]);
  });

  it('is the code and the words, bounded and in one line', async () => {
    const { said } = await asked(answering(`NO [ALERT] a\u001b[31mb\tc ${'x'.repeat(5_000)}`));
    const [words] = said;
    assert.equal(words?.code, 'ALERT');
    assert.match(words?.text ?? '', /^a \[31mb c x+…$/);
    assert.equal(words?.text?.length, 201);
  });

  it('is nothing of a bare yes', async () => {
    assert.deepEqual(await asked(answering('OK Logged in')), { outcome: { kind: 'right' }, said: [] });
  });
});

describe('a reason of Dovecot’s operators', () => {
  const dovecot = '* OK Dovecot (Debian) ready.';
  for (const code of ['CONTACTADMIN', 'ALERT']) {
    it(`is for the user to read, who had the right password: [${code}]`, async () => {
      const { outcome } = await asked(answering(`NO [${code}] The invoice is open`, dovecot));
      assert.deepEqual(outcome, { kind: 'contact-admin', reason: 'The invoice is open' });
    });
  }

  it('is none where another server says it, which may say it to anybody', async () => {
    const contact = await asked(answering('NO [CONTACTADMIN] The invoice is open'));
    assert.deepEqual(contact.outcome, { kind: 'contact-admin' });
    const alert = await asked(answering('NO [ALERT] The invoice is open'));
    assert.deepEqual(alert.outcome, { kind: 'wrong' });
  });

  it('is not shown when it repeats the password', async () => {
    const { outcome } = await asked(answering('NO [ALERT] wonderland is closed', dovecot));
    assert.deepEqual(outcome, { kind: 'contact-admin' });
  });
});

describe('a server that lets a user in and names another one', () => {
  it('is logged, and the user stays or not, as configured', async () => {
    const text = (await readFieldInput('I5-ok-referral.imap')).toString();
    const line = readDialogue(text).answers.get('reply')?.[0]?.replace('<tag> ', '') ?? '';
    const accepted = await asked(answering(line));
    assert.deepEqual(accepted.outcome, { kind: 'right' });
    assert.deepEqual(accepted.said, [{ code: 'REFERRAL', text: 'Logged in, but you should use this server instead.' }]);
    const refused = await asked(answering(line), { okReferral: 'refuse' });
    assert.deepEqual(refused.outcome, { code: 'ERR_IMAP_UNAVAILABLE' });
    assert.equal(refused.said.length, 1);
  });

  it('is followed where it is asked where users live', async () => {
    const text = (await readFieldInput('I5-ok-referral.imap')).toString();
    const line = readDialogue(text).answers.get('reply')?.[0]?.replace('<tag> ', '') ?? '';
    await using server = await ScriptedImap.start(answering(line));
    const imap = {
      hostname: '127.0.0.1',
      port: server.port,
      security: 'tls',
      trust: { ca: certificate.cert },
    } as const;
    const credentials = { user: canonicalUser('alice@example.test'), password: new Secret('wonderland') };
    const context = { client, reference: 'ref-1', limits: backendLimits };
    const verdict = await createImapPassdb().ask(credentials, { name: 'a', imap }, context, going);
    assert.deepEqual(verdict, { kind: 'referred', to: 'imap://alice;AUTH=PLAIN@mail-b.example.test/' });
  });
});

function ignore(): void {}

/** A gateway whose one mail server is scripted. */
async function startSite(line: () => string, own = '') {
  await using opened = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'postern-later-'));
  opened.defer(() => rm(directory, { recursive: true, force: true }));
  const { keyPair } = createMachines(opened);
  const server = { cert: keyPair.certificate, key: keyPair.key };
  const script: Script = {
    greeting: '* OK Dovecot ready.',
    certificate: server,
    answer: (turn) => serverOfLine(line())(turn),
  };
  const imap = opened.use(await ScriptedImap.start(script));
  await writeFile(join(directory, 'ca.crt'), keyPair.certificate);
  const port = await freePort();
  const configFile = join(directory, 'postern.yaml');
  const lines: object[] = [];
  const note = (_event: string, fields: object = {}) => void lines.push(fields);
  const log: Log = { debug: ignore, info: note, warn: note, error: note };
  await writeFile(
    configFile,
    `listen: 127.0.0.1:${port}
public_url: http://127.0.0.1:${port}
operators: { listen: 127.0.0.1:0 }
directory: { default_domain: example.test, sources: [{ type: static, backend: a }] }
passdb: { tls_ca_file: ca.crt }
login: { refusal_after: 0s }
backends:
  a: { driver: none, imap: "imaps://127.0.0.1:${imap.port}", webmail: "http://127.0.0.1:1/", dav: [/dav], ${own}
    health: { http_interval: 0s, imap_interval: 0s } }
log: { level: silent }
shutdown: { delay: 0s, deadline: 1s }
`,
  );
  const gateway = await startGateway({ configFile, log });
  opened.defer(() => gateway.close());
  const owned = opened.move();
  const origin = `http://127.0.0.1:${port}`;
  const authorization = `Basic ${Buffer.from('alice:wonderland').toString('base64')}`;
  return {
    lines,
    page: async () => (await signInAt(origin, 'alice')).landed,
    dav: () => fetch(`${origin}/dav/calendar`, { method: 'PROPFIND', headers: { authorization } }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const tags = new WeakMap<object, string>();
function serverOfLine(line: string): NonNullable<Script['answer']> {
  return (turn) => {
    const { socket, command, tag } = turn;
    const waiting = tags.get(socket);
    if (waiting !== undefined) {
      tags.delete(socket);
      turn.say(`${waiting} ${line}`);
    } else if (command === 'CAPABILITY') turn.say('* CAPABILITY IMAP4rev1 AUTH=PLAIN', `${tag} OK`);
    else if (command === 'AUTHENTICATE') {
      tags.set(socket, tag);
      turn.say('+ ');
    } else turn.say(`${tag} OK`);
  };
}

const saidIn = (lines: readonly object[]) => lines.flatMap((line) => ('said' in line ? [line.said] : []));

describe('a site whose mail server says "later" in a text', () => {
  it('answers 503 on the page and to DAV clients, slows nobody, and has the words in its log', async () => {
    await using site = await startSite(() => 'NO [ALERT] account undergoing maintenance; please try again later');
    const said = { code: 'ALERT', text: 'account undergoing maintenance; please try again later' };
    for (let turn = 0; turn < 8; turn += 1) assert.equal((await site.page()).status, 503);
    const answer = await site.dav();
    assert.equal(answer.status, 503);
    assert.equal(answer.headers.get('www-authenticate'), null);
    assert.deepEqual(
      saidIn(site.lines),
      Array.from({ length: 9 }, () => said),
    );
    // A penalty would show in the times of the sign-ins.
    const waits = site.lines.flatMap((line) => ('ms' in line && typeof line.ms === 'object' ? [line.ms] : []));
    assert.deepEqual(
      waits.filter((ms) => ms !== null && 'penalty' in ms && Number(ms.penalty) >= 2_000),
      [],
    );
  });

  it('may have words of its own for it', async () => {
    await using site = await startSite(() => 'NO Nightly backup runs', 'imap_later: ["nightly  BACKUP"],');
    assert.equal((await site.page()).status, 503);
    assert.equal((await site.dav()).status, 503);
  });

  it('says 401 and 403 to a wrong password, with the words in its log', async () => {
    await using site = await startSite(() => 'NO [AUTHENTICATIONFAILED] nope');
    assert.equal((await site.page()).status, 403);
    assert.equal((await site.dav()).status, 401);
    const said = { code: 'AUTHENTICATIONFAILED', text: 'nope' };
    assert.deepEqual(saidIn(site.lines), [said, said]);
  });

  it('shows a user the reason that Dovecot gives after the right password', async () => {
    await using site = await startSite(() => 'NO [CONTACTADMIN] <b>The invoice</b> is open');
    const landed = await site.page();
    assert.equal(landed.status, 403);
    assert.match(landed.body.toString(), /&lt;b&gt;The invoice&lt;\/b&gt; is open/);
  });
});
