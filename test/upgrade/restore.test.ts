import assert from 'node:assert/strict';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { startCluster } from '../balancers/cluster.fixture.ts';
import { Visitor } from '../balancers/visitor.fixture.ts';
import { runProgram } from '../programs.ts';
import { startRedisServer } from '../redis-server.fixture.ts';

const origin = 'http://mail.example.test';

async function askApi(port: number, method: string, path: string, body?: object): Promise<string> {
  const headers = { authorization: 'Bearer open-sesame', 'content-type': 'application/json' };
  const answer = await fetch(`http://127.0.0.1:${port}/api/v1${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  assert.equal(answer.status, 200);
  return answer.text();
}

it('a fresh node on a restored Redis, with the restored keys file, has sessions and states', async () => {
  await using cluster = await startCluster();
  await using lost = await startRedisServer();
  const { folder } = cluster;
  await writeFile(join(folder, 'token'), 'open-sesame\n');
  const configure = (name: string, redis: string) =>
    cluster.configure(
      name,
      `public_url: ${origin}
sessions: { redis: "${redis}", keys_file: ${name}.keys }
operators: { listen: "127.0.0.1:0", token: { file: token } }`,
    );

  const before = await cluster.startNode(await configure('before', lost.url));
  using visitor = new Visitor(origin, before.port);
  assert.equal((await visitor.signIn()).status, 303);
  await askApi(before.operators, 'PUT', '/backends/a/state', { state: 'DRAIN', reason: 'restored with the rest' });

  await mkdir(join(folder, 'backup'));
  await copyFile(join(folder, 'before.keys'), join(folder, 'backup/keys'));
  await runProgram('redis-cli', ['-p', String(lost.port), '--rdb', join(folder, 'backup/dump.rdb')]);
  await before[Symbol.asyncDispose]();
  await lost.kill();

  await using restored = await startRedisServer(['--dir', join(folder, 'backup'), '--appendonly', 'no']);
  await copyFile(join(folder, 'backup/keys'), join(folder, 'after.keys'));
  await using after = await cluster.startNode(await configure('after', restored.url));
  using returning = new Visitor(origin, after.port);
  for (const [name, value] of visitor.cookies) returning.cookies.set(name, value);
  assert.equal((await returning.get('/arrived')).status, 200);
  assert.match(await askApi(after.operators, 'GET', '/backends'), /restored with the rest/);
});
