import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { DebianRoot } from '../debian-root.fixture.ts';
import { runProgram } from '../programs.ts';
import { append, authenticateAs, type ImapSession, openImap } from './imap-session.fixture.ts';
import { dovecotSamples, masterPassword, type OwnDovecot, startDovecot } from './own-dovecot.fixture.ts';
import { mailRoot } from './mail-root.fixture.ts';

const alice = 'alice@example.test';
const samples = fileURLToPath(new URL('../../integrations/dovecot', import.meta.url));
const browser = 'ID ("x-originating-ip" "203.0.113.9")';

/** What doveconf makes of a file; it must have nothing to say about it. */
const doveconf = 'doveconf -n -P -c "$1" 2>"$1.said" && [ ! -s "$1.said" ] || { cat "$1.said" >&2; exit 1; }';

const heads = { '2.3': '', '2.4': 'dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n' };

for (const generation of ['2.3', '2.4'] as const) {
  suite(`the samples for Dovecot ${generation}`, { concurrency: false }, () => {
    const running = new AsyncDisposableStack();
    let directory: string;
    let root: DebianRoot | undefined;
    let dovecot: OwnDovecot;
    before(async () => {
      directory = await mkdtemp(join(tmpdir(), 'postern-dovecot-'));
      running.defer(() => rm(directory, { recursive: true }));
      if (generation === '2.4') {
        root = running.use(await mailRoot('trixie'));
      }
      dovecot = await startDovecot(directory, { [alice]: 'alice-pw' }, undefined, root);
      running.defer(() => dovecot.stop());
      await cp(join(samples, generation), join(directory, 'samples'), { recursive: true });
      using session = await openImap(dovecot.port);
      await session.send(`LOGIN ${alice} alice-pw`);
      assert.match(last(await session.send(append('INBOX'))), /^OK /);
    });
    after(() => running.disposeAsync());

    async function settingsOf(includes: readonly string[]): Promise<string> {
      const file = join(directory, 'parsed.conf');
      const lines = includes.map((name) => `!include ${directory}/samples/${name}\n`);
      await writeFile(file, `${heads[generation]}protocols = imap pop3\nssl = no\n${lines.join('')}`);
      const args = ['-c', doveconf, 'doveconf', file];
      return root === undefined ? runProgram('sh', args) : root.run('sh', args, { mounts: { [directory]: directory } });
    }

    async function entered(identity: string): Promise<ImapSession> {
      const session = await openImap(dovecot.port);
      await session.send(browser);
      assert.match(last(await session.send(authenticateAs(alice, identity, masterPassword))), /^OK /);
      return session;
    }

    test(`doveconf ${generation} takes each of them, and all of them, without a word`, async () => {
      for (const name of dovecotSamples) await settingsOf([name]);
      const all = await settingsOf(dovecotSamples);
      assert.match(all, /^passdb [^]*\n  master = yes/m);
      assert.match(all, /result_success = continue/);
      assert.match(all, /login_trusted_networks = 10\.0\.0\.21 10\.0\.0\.22 127\.0\.0\.1/);
      assert.match(all, /acl = /);
      assert.match(all, /last-login\/%/);
    });

    test('the gateway opens a mailbox; the log has the browser’s address, and who acted for whom', async () => {
      using session = await entered('gateway');
      assert.match(last(await session.send('SELECT INBOX')), /^OK \[READ-WRITE\]/);
      const line = /user=<alice@example\.test>, master=<gateway>, method=PLAIN, rip=203\.0\.113\.9, lip=127\.0\.0\.1,/;
      assert.match(await dovecot.log(), line);
    });

    test('nobody else is believed about addresses', async () => {
      using session = await openImap(dovecot.port, '127.0.0.99');
      await session.send(browser);
      assert.match(last(await session.send(`LOGIN ${alice} alice-pw`)), /^OK /);
      assert.match(await dovecot.log(), /user=<alice@example\.test>, .*, rip=127\.0\.0\.99,/);
    });

    test('no identity opens a mailbox that does not exist, nor signs in as itself', async () => {
      const stranger = authenticateAs('nobody@example.test', 'gateway', masterPassword);
      const commands = [stranger, `LOGIN gateway ${masterPassword}`, `LOGIN support ${masterPassword}`];
      for (const [at, command] of commands.entries()) {
        using session = await openImap(dovecot.port);
        // Dovecot delays whoever comes from an address of refusals.
        await session.send(`ID ("x-originating-ip" "203.0.113.${20 + at}")`);
        assert.match(last(await session.send(command)), /^NO \[AUTH/, command);
      }
    });

    test('staff read, and change nothing', async () => {
      using session = await entered('support');
      assert.match(last(await session.send('SELECT INBOX')), /^OK \[READ-ONLY\]/);
      assert.match((await session.send('FETCH 1 BODY[]')).join('\n'), /Subject: Hello/);
      for (const flag of ['Seen', 'Flagged', 'Deleted']) await session.send(`STORE 1 +FLAGS (\\${flag})`);
      assert.doesNotMatch((await session.send('FETCH 1 FLAGS')).join('\n'), /\\(Seen|Flagged|Deleted)/);
      for (const command of [append('INBOX'), 'CREATE New', 'DELETE INBOX', 'COPY 1 INBOX']) {
        assert.match(last(await session.send(command)), /^NO /, command);
      }
    });

    test('the gateway and the user change what they like', async () => {
      using session = await entered('gateway');
      await session.send('SELECT INBOX');
      assert.match((await session.send('STORE 1 +FLAGS (\\Flagged)')).join('\n'), /FLAGS \(\\Flagged/);
      assert.match(last(await session.send(append('INBOX'))), /^OK /);
      using own = await openImap(dovecot.port);
      await own.send(`LOGIN ${alice} alice-pw`);
      for (const command of ['CREATE Work', append('Work'), 'DELETE Work']) {
        assert.match(last(await own.send(command)), /^OK /, command);
      }
    });

    test('the last login of the user is not that of staff', async () => {
      for (const identity of ['gateway', 'support']) (await entered(identity))[Symbol.dispose]();
      const lines = await readFile(join(directory, 'mail', alice, 'last-login'), 'utf8');
      const times = new Map(lines.split('\n').map((line, at, all) => [line, all[at + 1]]));
      for (const identity of [alice, 'gateway', 'support']) {
        assert.match(times.get(`shared/last-login/${alice}/${identity}`) ?? '', /^\d{10}$/, identity);
      }
    });
  });
}

function last(lines: readonly string[]): string {
  return lines.at(-1) ?? '';
}
