import { Agent } from 'node:http';
import { RedisStore } from 'connect-redis';
import express from 'express';
import session from 'express-session';
import httpProxy from 'http-proxy';
import { createClient } from 'redis';

/*
 * node express-stack.ts PORT BACKEND REDIS-URL
 *
 * The obvious gateway: express, express-session, connect-redis and http-proxy, wired as their READMEs say. Any name may
 * sign in, at POST /login.
 */

declare module 'express-session' {
  interface SessionData {
    name?: string;
  }
}

const [port = '', target = '', redisUrl = ''] = process.argv.slice(2);
const redis = createClient({ url: redisUrl });
await redis.connect();

const app = express();
const sessions = session({
  store: new RedisStore({ client: redis, prefix: 'express:' }),
  secret: 'a secret of the benchmark',
  resave: false,
  saveUninitialized: false,
});
const proxy = httpProxy.createProxyServer({ target, agent: new Agent({ keepAlive: true }) });

app.use(sessions);
app.post('/login', (request, response) => {
  request.session.name = 'user@bench.test';
  response.sendStatus(204);
});
app.use((request, response) => {
  if (request.session.name === undefined) response.sendStatus(401);
  else proxy.web(request, response, undefined, () => response.destroy());
});

app.listen(Number(port), '127.0.0.1');
