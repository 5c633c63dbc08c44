import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Log } from '../../src/core/log.ts';
import { startGateway } from '../../src/gateway.ts';
import { ScriptedImap, type Turn } from '../passdb/scripted-imap.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { backendDefaults, createMachines, place, signInAt } from './machines.fixture.ts';

function ignore(): void {}

/** Gives the referring server's answer to a login. */
type Says = (turn: Turn) => string;

/** A gateway that asks a scripted server where users live; `b` is known to it as mail-b.example.test. */
async function startReferralSite(says: Says) {
  await using opened = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'postern-referral-'));
  opened.defer(() => rm(directory, { recursive: true, force: true }));
  const { start, keyPair } = createMachines(opened);
  const [a, b] = [await start('a'), await start('b')];
  const certificate = { cert: keyPair.certificate, key: keyPair.key };
  const greeting = '* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready';
  let asked: Turn | undefined;
  const referrer = opened.use(
    await ScriptedImap.start({
      certificate,
      greeting,
      answer(turn) {
        if (turn.command === 'AUTHENTICATE') {
          asked = turn;
          turn.say('+ ');
        } else if (asked === undefined) turn.say(`${turn.tag} OK done`);
        else {
          turn.say(`${asked.tag} ${says(asked)}`);
          asked = undefined;
        }
      },
    }),
  );
  await writeFile(join(directory, 'ca.crt'), keyPair.certificate);
  const port = await freePort();
  const configFile = join(directory, 'postern.yaml');
  await writeFile(
    configFile,
    `listen: 127.0.0.1:${port}
public_url: http://127.0.0.1:${port}
operators: { listen: 127.0.0.1:0 }
directory:
  default_domain: example.test
  hosts: { mail-b.example.test: b }
  sources: [{ type: referral, server: "imaps://127.0.0.1:${referrer.port}", tls_ca_file: ca.crt }]
passdb: { tls_ca_file: ca.crt }
login: { refusal_after: 0s }
${backendDefaults}backends:
  a: { ${place(a)} }
  b: { ${place(b)} }
log: { level: silent }
shutdown: { delay: 0s, deadline: 1s }
`,
  );
  const alarms: object[] = [];
  const log: Log = {
    debug: ignore,
    info: ignore,
    warn: ignore,
    error: (_event: string, fields: object = {}) => void alarms.push(fields),
  };
  const gateway = await startGateway({ configFile, log });
  opened.defer(() => gateway.close());
  const owned = opened.move();
  return {
    referrer,
    alarms,
    signIn: async (user: string) => (await signInAt(`http://127.0.0.1:${port}`, user)).landed,
    logins: () => referrer.lines.filter((line) => / AUTHENTICATE /i.test(line)).length,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

describe('a home that only an IMAP server knows', () => {
  it('is where its referral leads, signed in with the same password, and is remembered', async () => {
    await using site = await startReferralSite(
      () => 'NO [REFERRAL imap://alice;AUTH=*@mail-b.example.test/] Try there',
    );
    for (let turn = 0; turn < 2; turn += 1) {
      const landed = await site.signIn('alice');
      assert.equal(landed.status, 200);
      assert.match(landed.body.toString(), /backend b/);
    }
    assert.equal(site.logins(), 1);
    assert.deepEqual(site.alarms, []);
  });

  it('is nowhere when the server takes the password but is no backend', async () => {
    // Both backends have the host 127.0.0.1 here, so it means neither.
    await using site = await startReferralSite(() => 'OK Welcome');
    assert.equal((await site.signIn('alice')).status, 503);
    assert.equal(site.alarms.length, 1);
  });

  it('is nowhere for a wrong password, which is a wrong one as everywhere', async () => {
    await using site = await startReferralSite(() => 'NO [AUTHENTICATIONFAILED] No');
    assert.equal((await site.signIn('alice')).status, 403);
    assert.deepEqual(site.alarms, []);
  });

  it('is not known while the server cannot say: nobody is told that the password is wrong', async () => {
    await using site = await startReferralSite(() => 'NO [UNAVAILABLE] Later');
    assert.equal((await site.signIn('alice')).status, 503);
  });

  const hostile: readonly (readonly [name: string, answer: string])[] = [
    ['a server that nobody configured', 'NO [REFERRAL imap://alice@evil.example.test/] Try there'],
    ['a host behind another', 'NO [REFERRAL imap://alice@mail-b.example.test@evil.test/] Try there'],
    ['another user', 'NO [REFERRAL imap://bob;AUTH=*@mail-b.example.test/] Try there'],
    ['two servers', 'NO [REFERRAL imap://mail-b.example.test/ imap://evil.test/] Try there'],
    ['nothing', 'NO [REFERRAL] Try there'],
  ];
  for (const [name, answer] of hostile) {
    it(`is a tempfail when the referral names ${name}`, async () => {
      await using site = await startReferralSite(() => answer);
      const landed = await site.signIn('alice');
      assert.equal(landed.status, 503);
      assert.doesNotMatch(landed.body.toString(), /evil|mail-b/);
      assert.equal(site.logins(), 1);
    });
  }
});
