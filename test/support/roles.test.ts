import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { HomeLookup } from '../../src/core/directory.ts';
import { PosternError } from '../../src/core/error.ts';
import type { CanonicalUser } from '../../src/core/names.ts';
import { createRememberedRoleOf, createRoleOf, grantIn, type StaffSettings } from '../../src/support/roles.ts';
import { backendName, canonicalUser } from '../login/named.fixture.ts';

const sam = canonicalUser('sam@example.test');
const mia = canonicalUser('mia@example.test');
const nameRules = { domainAliases: { 'example.com': 'example.org', 'OLD.example': 'example.net' } };
const never = new AbortController().signal;

/** A directory with answers of the test, and a configuration that names sam. */
function setUp(rolesFromDirectory: boolean) {
  const staff = new Map([[String(sam), { roles: ['support'], domains: ['example.test'] } as const]]);
  const says = {
    settings: { staff, rolesFromDirectory } as StaffSettings | undefined,
    role: 'support' as string | undefined,
    user: mia,
    asked: 0,
    isAway: false,
    nowMs: 1_000_000,
  };
  const deps = {
    settings: () => says.settings,
    nameRules: () => nameRules,
    clock: { nowMs: () => says.nowMs },
    lookupFresh: async (_user: CanonicalUser): Promise<HomeLookup> => {
      says.asked += 1;
      if (says.isAway) {
        throw new PosternError('ERR_DIRECTORY_UNAVAILABLE', 'away', { source: 'directory', retryable: true });
      }
      const { role, user } = says;
      return { kind: 'found', backend: backendName('a'), user, ...(role === undefined ? {} : { role }) };
    },
  };
  return { says, roleOf: createRoleOf(deps), rememberedRoleOf: createRememberedRoleOf(deps) };
}

suite('the role of a member of staff', () => {
  test('is that of the configuration, whatever the directory calls somebody', async () => {
    const { says, roleOf } = setUp(true);
    says.role = 'operator';
    assert.deepEqual(await roleOf(sam, never), { roles: ['support'], domains: ['example.test'] });
    assert.equal(says.asked, 0);
  });

  test('is asked of the directory at each step, where it may say one', async () => {
    const { says, roleOf } = setUp(true);
    assert.deepEqual(await roleOf(mia, never), { roles: ['support'] });
    says.role = undefined;
    assert.equal(await roleOf(mia, never), undefined);
    assert.equal(says.asked, 2);
  });

  test('is never that of the directory where the configuration does not let it say one', async () => {
    const { says, roleOf, rememberedRoleOf } = setUp(false);
    assert.equal(await roleOf(mia, never), undefined);
    assert.equal(await rememberedRoleOf(mia, never), undefined);
    says.settings = undefined;
    assert.equal(await roleOf(sam, never), undefined);
    assert.equal(says.asked, 0);
  });

  test('is not that of another user to whom the name leads', async () => {
    const { says, roleOf } = setUp(true);
    says.user = sam;
    assert.equal(await roleOf(mia, never), undefined);
  });

  test('is not taken away by a directory that cannot be asked, and not given either', async () => {
    const { says, roleOf, rememberedRoleOf } = setUp(true);
    says.isAway = true;
    await assert.rejects(roleOf(mia, never), { code: 'ERR_DIRECTORY_UNAVAILABLE' });
    await assert.rejects(rememberedRoleOf(mia, never), { code: 'ERR_DIRECTORY_UNAVAILABLE' });
  });

  test('is asked of the directory once a minute while it is used; of the configuration always', async () => {
    const { says, rememberedRoleOf } = setUp(true);
    assert.deepEqual(await rememberedRoleOf(mia, never), { roles: ['support'] });
    says.role = undefined;
    says.nowMs += 59_999;
    assert.deepEqual(await rememberedRoleOf(mia, never), { roles: ['support'] });
    says.nowMs += 1;
    assert.equal(await rememberedRoleOf(mia, never), undefined);
    assert.equal(says.asked, 2);
    says.settings = { staff: new Map([[String(mia), { roles: ['auditor'] }]]), rolesFromDirectory: true };
    assert.deepEqual(await rememberedRoleOf(mia, never), { roles: ['auditor'] });
    says.settings = { staff: new Map(), rolesFromDirectory: false };
    assert.equal(await rememberedRoleOf(mia, never), undefined);
  });

  test('is asked of the directory again when the clock was set back', async () => {
    const { says, rememberedRoleOf } = setUp(true);
    await rememberedRoleOf(mia, never);
    says.role = undefined;
    says.nowMs -= 60 * 60_000;
    assert.equal(await rememberedRoleOf(mia, never), undefined);
  });

  for (const [text, grant] of [
    ['support', { roles: ['support'] }],
    [' Auditor ', { roles: ['auditor'] }],
    ['support example.org Example.NET', { roles: ['support'], domains: ['example.org', 'example.net'] }],
    ['support example.org,example.net', { roles: ['support'], domains: ['example.org', 'example.net'] }],
    ['support example.com Old.Example', { roles: ['support'], domains: ['example.org', 'example.net'] }],
    ['', undefined],
    ['user', undefined],
    ['supporter', undefined],
    ['admin support', undefined],
    // A limit that is half understood must not become no limit.
    ['support example..org', undefined],
    ['support -', undefined],
    // Domains do not limit these.
    ['viewer example.org', undefined],
    ['operator example.org', undefined],
    ['auditor example.org', undefined],
    [undefined, undefined],
  ] as const) {
    test(`in ${JSON.stringify(text)} of a directory is ${JSON.stringify(grant)}`, () => {
      assert.deepEqual(grantIn(text, nameRules), grant);
    });
  }
});
