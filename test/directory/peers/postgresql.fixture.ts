import { chmod, chown, copyFile, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { noteUse } from '../../../tools/tested-with.ts';
import { freePort } from '../../ports.fixture.ts';
import { runProgram, startProgram } from '../../programs.ts';
import { temporaryDirectory } from '../directory.fixture.ts';
import { makeCertificates } from './certificates.fixture.ts';
import type { SqlServer } from './sql-server.fixture.ts';

/** A real PostgreSQL of a test, over TCP with TLS, with the table `homes`. */
export async function startPostgresql(): Promise<SqlServer> {
  const folder = await temporaryDirectory();
  const { caFile, certificateFile, keyFile } = await makeCertificates(folder.path);
  const [uid = 0, gid = 0] = (await runProgram('getent', ['passwd', 'postgres'])).split(':').slice(2, 4).map(Number);
  // setpriv starts it, which is what programs.ts sees.
  noteUse(['postgresql'], undefined);
  const versions = await readdir('/usr/lib/postgresql');
  const program = (name: string): string => join('/usr/lib/postgresql', versions.sort().at(-1) ?? '', 'bin', name);
  const data = join(folder.path, 'data');
  const ownKey = join(folder.path, 'postgres.key');
  await copyFile(keyFile, ownKey);
  await chmod(ownKey, 0o600);
  await chmod(folder.path, 0o755);
  await mkdir(data);
  for (const path of [data, ownKey]) await chown(path, uid, gid);
  const asOwner = ['--reuid', String(uid), '--regid', String(gid), '--clear-groups'];
  await runProgram('setpriv', [
    ...asOwner,
    program('initdb'),
    '-D',
    data,
    '-A',
    'trust',
    '-U',
    'postern',
    '--no-sync',
    '-E',
    'UTF8',
    '--locale=C.UTF-8',
  ]);
  const port = await freePort();
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: data,
    fsync: 'off',
    ssl: 'on',
    ssl_cert_file: certificateFile,
    ssl_key_file: ownKey,
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const run = async (sql: string, values: readonly string[] = []): Promise<void> => {
    const client = new Client({ host: '127.0.0.1', port, user: 'postern', database: 'postgres' });
    client.on('error', () => {});
    try {
      await client.connect();
      await client.query(sql, [...values]);
    } finally {
      await client.end();
    }
  };
  const launch = () =>
    startProgram('setpriv', [...asOwner, program('postgres'), '-D', data, ...args], {
      isReady: () => run('select 1'),
      signal: 'SIGINT',
    });
  let running = await launch();
  await run('create table homes (login text, backend text, "user" text, refuse text)');
  return {
    port,
    caFile,
    run,
    put: (user, home) => run('insert into homes (login, backend) values ($1, $2)', [user, home]),
    stop: () => running.kill(),
    async start() {
      running = await launch();
    },
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}
