import { createServer } from 'node:http';
import { createClient } from 'redis';

/*
 * node session-service.ts PORT REDIS-URL [--cache]
 *
 * The service that an operator runs next to nginx or Caddy. It answers 200 with the user's name if the cookie `sid` has
 * a session in Redis, else 401. With --cache it remembers sessions in the process for a minute, and does not learn of a
 * sign-out.
 */

const [port = '', redisUrl = '', mode = ''] = process.argv.slice(2);
const rememberMs = 60_000;
const remembered = new Map<string, { readonly user: string; readonly untilMs: number }>();
const redis = createClient({ url: redisUrl });
await redis.connect();

async function userOf(id: string): Promise<string | undefined> {
  const known = remembered.get(id);
  if (known !== undefined && known.untilMs > Date.now()) return known.user;
  const text = await redis.get(`sid:${id}`);
  if (text === null) return undefined;
  const { user }: { user: string } = JSON.parse(text);
  if (mode === '--cache') remembered.set(id, { user, untilMs: Date.now() + rememberMs });
  return user;
}

createServer((request, response) => {
  const id = /(?:^|;\s*)sid=([^;]+)/.exec(request.headers.cookie ?? '')?.[1];
  const found = id === undefined ? Promise.resolve(undefined) : userOf(id);
  found.then(
    (user) => response.writeHead(user === undefined ? 401 : 200, user === undefined ? {} : { 'X-User': user }).end(),
    () => response.writeHead(503).end(),
  );
}).listen(Number(port), '127.0.0.1');
