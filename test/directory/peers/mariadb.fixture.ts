import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createConnection } from 'mysql2/promise';
import { freePort } from '../../ports.fixture.ts';
import { runProgram, startProgram } from '../../programs.ts';
import { temporaryDirectory } from '../directory.fixture.ts';
import { makeCertificates } from './certificates.fixture.ts';
import type { SqlServer } from './sql-server.fixture.ts';

/** A real MariaDB of a test, over TCP with TLS, with the database `postern` and the password `postern-pw`. */
export async function startMariadb(): Promise<SqlServer> {
  const folder = await temporaryDirectory();
  const { caFile, certificateFile, keyFile } = await makeCertificates(folder.path);
  await chmod(folder.path, 0o755);
  await chmod(keyFile, 0o644);
  const data = join(folder.path, 'data');
  const socketPath = join(folder.path, 'sock', 'my.sock');
  for (const path of [data, join(folder.path, 'sock')]) {
    await mkdir(path);
    await runProgram('chown', ['mysql:mysql', path]);
  }
  await runProgram('mariadb-install-db', [
    '--no-defaults',
    '--user=mysql',
    `--datadir=${data}`,
    '--skip-test-db',
    '--auth-root-authentication-method=normal',
  ]);
  const port = await freePort();
  const settings = {
    user: 'mysql',
    datadir: data,
    socket: socketPath,
    port,
    'bind-address': '127.0.0.1',
    'ssl-ca': caFile,
    'ssl-cert': certificateFile,
    'ssl-key': keyFile,
    'max-allowed-packet': '16M',
  };
  const args = ['--no-defaults', ...Object.entries(settings).map(([name, value]) => `--${name}=${value}`)];
  const run = async (sql: string, values: readonly string[] = []): Promise<void> => {
    const client = await createConnection({ socketPath, user: 'root', charset: 'utf8mb4' });
    try {
      await client.query(sql, [...values]);
    } finally {
      await client.end();
    }
  };
  const launch = () => startProgram('mariadbd', args, { isReady: () => run('select 1') });
  let running = await launch();
  await run('create database postern character set utf8mb4');
  await run("create user postern@'127.0.0.1' identified by 'postern-pw'");
  await run("create user postern@localhost identified by 'postern-pw'");
  await run("grant select on postern.* to postern@'127.0.0.1', postern@localhost");
  await run(
    'create table postern.homes (login varchar(255) collate utf8mb4_bin, backend longtext, user text, refuse text)',
  );
  return {
    port,
    caFile,
    run,
    put: (user, home) => run('insert into postern.homes (login, backend) values (?, ?)', [user, home]),
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
