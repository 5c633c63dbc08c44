import { randomBytes } from 'node:crypto';
import type { RedisConnection } from './redis-connection.ts';
import * as scripts from './redis-scripts.ts';

const probeMs = 2_000;

/**
 * Does on a Redis what the session store does, under a key of its own that ends by itself. Rejects with
 * ERR_STORE_UNAVAILABLE, which says what is refused: a user without enough rights is found before anybody signs in.
 */
export async function probeSessionStore({ run }: Pick<RedisConnection, 'run'>): Promise<void> {
  const id = randomBytes(16).toString('hex');
  const [record, use, jar, tombstone] = ['h', 'u', 'j', 't'].map((kind) => `ps:${kind}:{${id}}`);
  const all = [record, use, jar, tombstone].filter((key) => key !== undefined);
  const [index, registry] = [`ps:i:${id}`, 'ps:keys'];
  const script = (text: string, keys: readonly (string | undefined)[], args: readonly (string | number)[]) =>
    run((client) => client.eval(text, { keys: keys.filter((key) => key !== undefined), arguments: args.map(String) }));

  await script(scripts.registerKeysScript, [registry], []);
  await script(scripts.indexScript, [index], [Date.now(), id, probeMs]);
  await script(scripts.indexAllScript, ['ps:all'], [Date.now(), id, probeMs]);
  await script(scripts.createScript, [record, tombstone], ['{"backend":"","host":""}', probeMs]);
  await script(scripts.rerouteScript, [record, jar], ['', '', '{}', '{}']);
  await script(scripts.writeJarScript, [record, jar], ['{}']);
  await script(scripts.noteUseScript, [record, use], [Date.now()]);
  await run((client) => client.set(all[0] ?? '', '{}', { condition: 'XX', expiration: 'KEEPTTL' }));
  await run((client) => client.mGet(all));
  await run((client) => client.exists(registry));
  await script(scripts.destroyScript, all, ['signed-out', probeMs]);
  await run((client) => client.zRange('ps:all', 0, 0));
  await run((client) => client.zRem(index, id));
  await run((client) => client.zRem('ps:all', id));
  await run((client) => client.hDel(registry, id));
}
