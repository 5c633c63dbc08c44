import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import * as fc from 'fast-check';
import { createMupdateReader } from '../../../src/directory/sources/mupdate-connection.ts';
import { inboxOf, isInbox } from '../../../src/directory/sources/mupdate.ts';
import { eventually, loginName, outcomeOf, recordingLog, testDirectory } from '../directory.fixture.ts';
import { startServer } from '../peers/line-server.fixture.ts';
import { type MupdateMaster, startMupdateMaster } from '../peers/mupdate.fixture.ts';
import { sourceContract } from '../source-contract.fixture.ts';

const homes = new Map([
  ['user.alice', 'mail-a.example.test!default'],
  ['user.bob', 'mail-b.example.test!default'],
  ['user.bob.Sent', 'mail-a.example.test!default'],
]);

for (const mode of ['update', 'find'] as const) {
  sourceContract(
    `mupdate (${mode})`,
    async () => {
      const master = await startMupdateMaster();
      await master.activate(homes);
      return {
        settings: settingsFor(master, mode),
        put: (user, home) => master.activate(new Map([[inboxOf(loginName(user), 'example.test'), `${home}!default`]])),
        outage: { begin: () => master.stop(), end: () => master.start() },
        [Symbol.asyncDispose]: () => master[Symbol.asyncDispose](),
      };
    },
    // The copy goes on answering without its master: that is what it is for, and is tried below.
    {
      cannotHold: ['another line', 'a leading line', '300 KB', 'an address of its own'],
      ...(mode === 'update' ? { hasNoPeer: true } : {}),
    },
  );
}

function settingsFor(master: MupdateMaster, mode: 'update' | 'find') {
  return {
    type: 'mupdate',
    servers: `127.0.0.1:${master.port}`,
    mode,
    user: master.user,
    password: master.password,
    tls_ca_file: master.caFile,
  };
}

describe('a Murder', () => {
  let master: MupdateMaster;
  before(async () => {
    master = await startMupdateMaster();
    await master.activate(homes);
    await master.activate(new Map([['other.test!user.john^doe', 'mail-b.example.test!p1']]));
    await master.send('RESERVE "user.moving" "mail-a.example.test!default"');
  });
  after(() => master[Symbol.asyncDispose]());

  for (const mode of ['update', 'find'] as const) {
    test(`has users of other domains, with full stops, and on the move (${mode})`, async () => {
      await using directory = await testDirectory([settingsFor(master, mode)]);
      assert.equal(await outcomeOf(directory, 'john.doe@other.test'), 'b john.doe@other.test');
      assert.equal(await outcomeOf(directory, 'john.doe'), 'unknown');
      assert.equal(await outcomeOf(directory, 'moving'), 'ERR_DIRECTORY_UNAVAILABLE');
    });

    test(`that refuses the login or is not trusted is a tempfail (${mode})`, async () => {
      const { tls_ca_file: _, ...untrusting } = settingsFor(master, mode);
      for (const settings of [untrusting, { ...settingsFor(master, mode), password: 'wrong' }]) {
        await using directory = await testDirectory([{ ...settings, timeout: '500ms' }]);
        assert.match(await outcomeOf(directory, 'alice'), /^ERR_(DIRECTORY_UNAVAILABLE|DEADLINE)$/);
      }
    });
  }

  test('sends each change to the copy', async () => {
    await using directory = await testDirectory([settingsFor(master, 'update')]);
    assert.equal(await outcomeOf(directory, 'nora'), 'unknown');
    await master.activate(new Map([['user.nora', 'mail-a.example.test!default']]));
    assert.equal(await eventually('a nora@example.test', () => outcomeOf(directory, 'nora')), 'a nora@example.test');
    await master.activate(new Map([['user.nora', 'mail-b.example.test!default']]));
    assert.equal(await eventually('b nora@example.test', () => outcomeOf(directory, 'nora')), 'b nora@example.test');
    await master.send('DELETE "user.nora"');
    assert.equal(await eventually('unknown', () => outcomeOf(directory, 'nora')), 'unknown');
  });

  test('that is away leaves a copy that answers, never with "unknown", and is followed again', async () => {
    const log = recordingLog();
    await using directory = await testDirectory([settingsFor(master, 'update')], { log });
    // Refused sign-ins of the tests before may still keep the master's threads busy.
    assert.equal(await eventually('a alice@example.test', () => outcomeOf(directory, 'alice')), 'a alice@example.test');
    assert.equal(await outcomeOf(directory, 'otto'), 'unknown');
    await master.stop();
    const away = 'ERR_DIRECTORY_UNAVAILABLE';
    assert.equal(await eventually(away, () => outcomeOf(directory, 'otto')), away);
    assert.equal(await outcomeOf(directory, 'alice'), 'a alice@example.test');
    await master.start();
    await master.activate(new Map([['user.otto', 'mail-a.example.test!default']]));
    assert.equal(await eventually('a otto@example.test', () => outcomeOf(directory, 'otto')), 'a otto@example.test');
    assert.match(log.lines.join('\n'), /directory-copy-lost/);
  });

  test('may have several masters: those that are away or hang are skipped', async () => {
    await using hanging = await startServer(() => {});
    const servers = ['127.0.0.1:9', `127.0.0.1:${hanging.port}`, `127.0.0.1:${master.port}`];
    for (const mode of ['update', 'find'] as const) {
      await using directory = await testDirectory([{ ...settingsFor(master, mode), servers, timeout: '3s' }]);
      assert.equal(
        await eventually('a alice@example.test', () => outcomeOf(directory, 'alice')),
        'a alice@example.test',
      );
    }
  });
});

/** A master that signs everybody in and answers FIND and UPDATE with the given lines. */
function scripted(lines: readonly string[]) {
  return (socket: Socket): void => {
    socket.write('* AUTH "PLAIN"\r\n* OK MUPDATE "x" "y" "z" "(master)"\r\n');
    socket.setEncoding('latin1').on('data', (text: string) => {
      for (const [, tag = '', command = ''] of text.matchAll(/^(P\d+) (\w+)/gm)) {
        for (const line of /FIND|UPDATE/.test(command) ? lines : []) socket.write(line.replaceAll('TAG', tag));
        socket.write(`${tag} OK "done"\r\n`);
      }
    });
  };
}

describe('what a master may say', () => {
  const cases: readonly (readonly [mode: 'update' | 'find', line: string, outcome: string])[] = [
    ['find', 'TAG MAILBOX "user.alice" "mail-a.example.test!p" "acl"\r\n', 'a alice@example.test'],
    ['find', 'TAG MAILBOX {10+}\r\nuser.alice {1}\r\na "acl"\r\n', 'a alice@example.test'],
    ['find', 'TAG MAILBOX "user.alice" "evil:80/path@" "acl"\r\n', 'ERR_DIRECTORY_ANSWER'],
    ['find', 'TAG MAILBOX "user.bob" "a" "acl"\r\n', 'ERR_DIRECTORY_ANSWER'],
    ['find', 'TAG MAILBOX "user.alice"\r\n', 'ERR_DIRECTORY_ANSWER'],
    ['find', 'TAG MAILBOX "user.alice" "a"\r\nTAG MAILBOX "user.alice" "b"\r\n', 'ERR_DIRECTORY_ANSWER'],
    ['find', 'TAG NO "not now"\r\n', 'ERR_DIRECTORY_UNAVAILABLE'],
    ['find', '* BYE "restarting"\r\n', 'ERR_DIRECTORY_UNAVAILABLE'],
    ['find', 'garbage\r\n', 'ERR_DIRECTORY_UNAVAILABLE'],
    ['find', `TAG MAILBOX "${'x'.repeat(300_000)}`, 'ERR_DIRECTORY_UNAVAILABLE'],
    ['update', 'TAG MAILBOX "user.alice" "mail-a.example.test!p" "acl"\r\n', 'a alice@example.test'],
    ['update', 'TAG MAILBOX "user.alice" "b\\"evil" "acl"\r\n', 'ERR_DIRECTORY_ANSWER'],
    ['update', 'TAG MAILBOX "user.alice.Sent" "a" "acl"\r\n', 'unknown'],
    ['update', 'garbage\r\n', 'ERR_DIRECTORY_UNAVAILABLE'],
  ];
  for (const [mode, line, outcome] of cases) {
    test(`${mode}: ${JSON.stringify(line.slice(0, 60))} is ${outcome}`, async () => {
      await using server = await startServer(scripted([line]));
      const settings = {
        type: 'mupdate',
        servers: `127.0.0.1:${server.port}`,
        mode,
        user: 'u',
        password: 'p',
        tls: 'none',
      };
      await using directory = await testDirectory([{ ...settings, timeout: '500ms' }]);
      assert.equal(await eventually(outcome, () => outcomeOf(directory, 'alice')), outcome);
    });
  }

  test('is read alike in whatever pieces it comes', () => {
    const text = '* OK MUPDATE "a\\"b\\\\" {3}\r\nx\ny {0+}\r\n\r\nP1 MAILBOX user.a "h!p"\r\nP1 OK ""\r\n';
    const expected = [
      { tag: '*', kind: 'OK', strings: ['MUPDATE', 'a"b\\', 'x\ny', ''] },
      { tag: 'P1', kind: 'MAILBOX', strings: ['user.a', 'h!p'] },
      { tag: 'P1', kind: 'OK', strings: [''] },
    ];
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: text.length })), (cuts) => {
        const reader = createMupdateReader();
        const places = [0, ...cuts.sort((a, b) => a - b), text.length];
        const responses = places.flatMap((from, index) =>
          reader.push(Buffer.from(text.slice(from, places[index + 1]))),
        );
        assert.deepEqual(responses, expected);
      }),
    );
  });

  test('ends in responses or in an error, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('{', '3', '}', '+', '"', '\\', '\r\n', ' ', 'P1', '*', 'é')), (parts) => {
        try {
          createMupdateReader().push(Buffer.from(parts.join('')));
        } catch (error) {
          assert.match(String(error), /^Error: sent a /);
        }
      }),
    );
  });
});

test('only INBOXes of users count, not their folders', () => {
  assert.equal(inboxOf(loginName('john.doe'), 'example.test'), 'user.john^doe');
  assert.equal(inboxOf(loginName('john@other.test'), 'example.test'), 'other.test!user.john');
  for (const name of ['user.bob', 'other.test!user.bob', 'user.john^doe']) assert.ok(isInbox(name), name);
  for (const name of ['user.bob.Sent', 'user', 'shared', 'user.', 'x!shared.user.bob']) assert.ok(!isInbox(name), name);
});
