import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { diffConfig } from '../../src/config/diff.ts';
import { loadConfig } from '../../src/config/load.ts';
import { filesOf, load, problemsOf, smallest } from './config.fixture.ts';

const withService = (settings: string, key = 'open-sesame\n') => ({
  'postern.yaml': smallest(`directory_service: ${settings}`),
  key,
});

describe('directory_service', () => {
  it('is off until it has a place to listen', async (t) => {
    assert.equal((await load(t, { 'postern.yaml': smallest() })).directoryService, undefined);
    assert.match(
      (await problemsOf(t, withService('{}'))).join('\n'),
      /directory_service\.listen: is missing: write an address/,
    );
  });

  it('lets in this machine alone, without a key, and knows the usual ports', async (t) => {
    const { directoryService } = await load(t, withService('{ listen: 127.0.0.1:9092 }'));
    assert.deepEqual(directoryService, {
      listen: { host: '127.0.0.1', port: 9092 },
      allow: ['127.0.0.1/32', '::1/128'],
      ports: { imap: 143, pop3: 110, smtp: 25, submission: 587, lmtp: 24, sieve: 4190 },
      recipientDelimiter: '',
    });
  });

  it('reads its key, and never shows it', async (t) => {
    const config = await load(t, withService('{ listen: 127.0.0.1:9092, key_file: key }'));
    assert.equal(config.directoryService?.key?.reveal(), 'open-sesame');
    assert.doesNotMatch(JSON.stringify(config.directoryService), /sesame/);
    const gone = await problemsOf(t, withService('{ listen: 127.0.0.1:9092, key_file: gone }'));
    assert.match(gone.join('\n'), /directory_service\.key_file: there is no file/);
  });

  it('answers Postfix for the domains of its users alone', async (t) => {
    const maps = 'socketmap: { listen: 127.0.0.1:9093 }, tcp_table: { listen: 127.0.0.1:9094, map: users }';
    const written = `{ listen: 127.0.0.1:9092, ${maps}, domains: [Example.ORG], recipient_delimiter: "+" }`;
    const { directoryService } = await load(t, withService(written));
    assert.deepEqual(
      [directoryService?.tcpTable?.map, directoryService?.deliveryDomains, directoryService?.recipientDelimiter],
      ['users', ['example.org'], '+'],
    );
    const without = await problemsOf(t, withService(`{ listen: 127.0.0.1:9092, ${maps} }`));
    assert.match(
      without.join('\n'),
      /directory_service\.domains: is missing: write the mail domains of your users, such as \[example\.org\]/,
    );
    const wrong = await problemsOf(t, withService(`{ listen: 127.0.0.1:9092, ${maps}, domains: [] }`));
    assert.match(wrong.join('\n'), /directory_service\.domains: is empty/);
  });

  it('has ports of a backend’s own', async (t) => {
    const own =
      '{ imap: imaps://mx1.test, webmail: http://mx1.test/, driver: roundcube, ports: { lmtp: 2024, sieve: 2000 } }';
    const { backends } = await load(t, { 'postern.yaml': smallest().replace(/^  a: .*$/m, `  a: ${own}`) });
    assert.deepEqual([...backends.values()][0]?.mailPorts, { lmtp: 2024, sieve: 2000 });
  });

  it('may change in everything but its address while the gateway runs', async (t) => {
    const directory = filesOf(t, withService('{ listen: 127.0.0.1:9092, key_file: key }'));
    const file = join(directory, 'postern.yaml');
    const before = await loadConfig(file, { env: {} });
    writeFileSync(join(directory, 'key'), 'another\n');
    const rekeyed = diffConfig(before, await loadConfig(file, { env: {} }));
    assert.deepEqual(rekeyed, { changed: ['directory_service (what it names)'], refused: [], removed: [] });
    const maps = 'socketmap: { listen: 127.0.0.1:9094 }, domains: [example.org]';
    writeFileSync(file, smallest(`directory_service: { listen: 127.0.0.1:9093, key_file: key, ${maps} }`));
    const { refused } = diffConfig(before, await loadConfig(file, { env: {} }));
    assert.match(
      refused.join('\n'),
      /^directory_service\.listen: cannot change.*\ndirectory_service\.socketmap: cannot change/,
    );
  });
});
