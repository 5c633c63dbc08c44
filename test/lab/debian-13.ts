import { globSync } from 'node:fs';
import { spawnSync } from '../programs.ts';
import { labScript } from './lab.ts';

/*
 * npm run test:trixie             the tests of real servers, with those of Debian 13
 * npm run test:trixie -- --core   one test for each thing that users do, which npm test runs besides
 */

/** A run of tests with servers of Debian 13; `redis` is the program that is started for Redis. */
interface Run {
  readonly redis: 'redis-server' | 'valkey-server';
  readonly files: readonly string[];
}

const core: readonly Run[] = [
  {
    redis: 'redis-server',
    files: [
      'test/lab/lost-session.test.ts',
      'test/lab/mailboxes.test.ts',
      'test/lab/move-users.test.ts',
      'test/lab/notice.test.ts',
      'test/lab/sign-in.test.ts',
      'test/webmail/sogo-lab.test.ts',
      'test/webmail/sogo-trusted-lab.test.ts',
    ],
  },
  { redis: 'valkey-server', files: ['test/sessions/redis-store.test.ts'] },
];

/** Debian 13 has no Horde. */
const withoutPeer = [
  'test/webmail/big-bodies-lab.test.ts',
  'test/webmail/horde-lab.test.ts',
  'test/webmail/master-login-lab.test.ts',
];

const whole: readonly Run[] = [
  {
    redis: 'redis-server',
    files: globSync([
      'test/lab/*.test.ts',
      'test/webmail/{*-lab,sogo-draft}.test.ts',
      'test/clients/sogo.test.ts',
      'test/integrations/*-lab.test.ts',
      'test/balancers/*.test.ts',
      'test/directory-service/nginx-lab.test.ts',
      'test/directory/sources/{ldap,redis}.test.ts',
      'test/sessions/redis-*.test.ts',
    ]).filter((file) => !withoutPeer.includes(file)),
  },
  { redis: 'valkey-server', files: globSync('test/{sessions/redis-*,faults/redis,lab/cluster}.test.ts') },
];

function run({ redis, files }: Run): boolean {
  const options = ['--test', '--test-force-exit', '--test-global-setup=test/lab/keep.ts', '--test-timeout=300000'];
  const env = { ...process.env, LAB_RELEASE: 'trixie', LAB_REDIS: redis };
  process.stdout.write(`with the servers of Debian 13, ${redis} among them\n`);
  return spawnSync(process.execPath, [...options, ...files.toSorted()], { env, stdio: 'inherit' }).status === 0;
}

// Before the first test, whose time limit is not meant for it.
const packages = spawnSync(labScript, ['packages', 'a', 'b', 'c', 'd'], {
  env: { ...process.env, LAB_RELEASE: 'trixie' },
  stdio: 'inherit',
});
if (packages.status !== 0) throw new Error('cannot install the servers of Debian 13 in a root');
const passed = (process.argv[2] === '--core' ? core : whole).map(run);
process.exitCode = passed.every(Boolean) ? 0 : 1;
