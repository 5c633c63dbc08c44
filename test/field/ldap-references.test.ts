import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Secret } from '../../src/core/secrets.ts';
import { outcomeOf, recordingLog, testDirectory } from '../directory/directory.fixture.ts';
import { type Slapd, startSlapd } from '../directory/peers/slapd.fixture.ts';
import { readFieldInput } from './input.fixture.ts';

describe('an LDAP directory whose searches from the root come with references, as those of an Active Directory', () => {
  let slapd: Slapd;
  before(async () => {
    slapd = await startSlapd();
    await slapd.add((await readFieldInput('D4-ad-root.ldif')).toString().replaceAll('{SUFFIX}', slapd.base));
  });
  after(() => slapd[Symbol.asyncDispose]());

  const open = async (more: object = {}, ...others: readonly { readonly type: string; readonly backend: string }[]) => {
    const log = recordingLog();
    const settings = {
      type: 'ldap',
      servers: `ldap://127.0.0.1:${slapd.port}`,
      tls_ca_file: slapd.caFile,
      bind_dn: slapd.bindDn,
      bind_password: new Secret(slapd.bindPassword),
      base: slapd.base,
      filter: '(mail=%u)',
      backend_attribute: 'description',
      ...more,
    };
    const directory = await testDirectory([settings, ...others], { log });
    return { directory, log };
  };

  test('knows a user, and tells an unknown name as unknown, without an alarm', async () => {
    const { directory, log } = await open();
    await using _ = directory;
    assert.equal(await outcomeOf(directory, 'alice'), 'a alice@example.test');
    assert.equal(await outcomeOf(directory, 'alcie'), 'unknown');
    assert.deepEqual(log.lines, []);
  });

  test('lets the next source be asked for an unknown name', async () => {
    const { directory } = await open({}, { type: 'static', backend: 'b' });
    await using _ = directory;
    assert.equal(await outcomeOf(directory, 'alcie'), 'b alcie@example.test');
  });

  test('could not be asked where the base itself is on another server', async () => {
    const { directory, log } = await open({ base: `dc=DomainDnsZones,${slapd.base}` });
    await using _ = directory;
    assert.equal(await outcomeOf(directory, 'alice'), 'ERR_DIRECTORY_UNAVAILABLE');
    assert.match(JSON.stringify(log.fields), /the search was refused with 10/);
  });
});
