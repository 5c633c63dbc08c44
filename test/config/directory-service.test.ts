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
      ports: { imap: 143, pop3: 110, smtp: 25 },
    });
  });

  it('reads its key, and never shows it', async (t) => {
    const config = await load(t, withService('{ listen: 127.0.0.1:9092, key_file: key }'));
    assert.equal(config.directoryService?.key?.reveal(), 'open-sesame');
    assert.doesNotMatch(JSON.stringify(config.directoryService), /sesame/);
    const gone = await problemsOf(t, withService('{ listen: 127.0.0.1:9092, key_file: gone }'));
    assert.match(gone.join('\n'), /directory_service\.key_file: there is no file/);
  });

  it('may change in everything but its address while the gateway runs', async (t) => {
    const directory = filesOf(t, withService('{ listen: 127.0.0.1:9092, key_file: key }'));
    const file = join(directory, 'postern.yaml');
    const before = await loadConfig(file, { env: {} });
    writeFileSync(join(directory, 'key'), 'another\n');
    const rekeyed = diffConfig(before, await loadConfig(file, { env: {} }));
    assert.deepEqual(rekeyed, { changed: ['directory_service (what it names)'], refused: [], removed: [] });
    writeFileSync(file, smallest('directory_service: { listen: 127.0.0.1:9093, key_file: key }'));
    const { refused } = diffConfig(before, await loadConfig(file, { env: {} }));
    assert.match(refused.join('\n'), /^directory_service\.listen: cannot change/);
  });
});
