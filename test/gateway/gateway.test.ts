import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, request as sendRequest } from 'node:http';
import { type AddressInfo, Server } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { readBuild } from '../../src/core/build.ts';
import { startGateway } from '../../src/gateway.ts';
import { listen } from '../../src/gateway/operator-listeners.ts';
import { type RunningGateway, startRunning } from './running.fixture.ts';

describe('a gateway', () => {
  let running: RunningGateway;
  before(async () => {
    running = await startRunning();
  });
  after(() => running[Symbol.asyncDispose]());

  it('leads each user to the backend that holds the mailbox', async () => {
    const alice = await running.signIn('alice', 'wonderland');
    assert.match(alice.landed.body.toString(), /backend a/);
    const bob = await running.signIn('Bob@EXAMPLE.test', 'bread&butter');
    assert.match(bob.landed.body.toString(), /backend b/);
  });

  it('is the only one who may be addressed: a foreign Host reaches nothing', async () => {
    const request = sendRequest({ port: running.port, host: '127.0.0.1', path: '/', headers: { host: 'evil.test' } });
    request.end();
    const [response] = await once(request, 'response');
    response.resume();
    assert.equal(response.statusCode, 421);
    assert.ok(running.logged.some(({ fields }) => JSON.stringify(fields).includes('evil.test')));
  });

  it('says which version and commit it is, in its log and its metrics', async () => {
    const { version, commit, node } = readBuild();
    const ready = running.logged.find(({ event }) => event === 'ready')?.fields;
    assert.deepEqual({ version: ready?.['version'], commit: ready?.['commit'] }, { version, commit });
    const operators = `http://127.0.0.1:${running.gateway.ports.operators}`;
    const metrics = await (await fetch(`${operators}/metrics`)).text();
    assert.ok(metrics.includes(`postern_build_info{version="${version}",commit="${commit}",node="${node}"} 1\n`));
  });

  it('counts what it does', async () => {
    const text = await (await fetch(`http://127.0.0.1:${running.gateway.ports.operators}/metrics`)).text();
    assert.match(text, /^postern_logins_total\{result="signed-in",backend="a",webmail="form"\} 1$/m);
    assert.match(text, /^postern_requests_total\{backend="b",class="2xx"\} \d+$/m);
    assert.match(text, /^postern_login_phase_seconds_count\{phase="imap"\} 2$/m);
    assert.match(text, /^postern_sessions_cached 2$/m);
  });

  it('does not start on an address that is taken, and says so', async () => {
    const { configFile } = running;
    await assert.rejects(startGateway({ configFile }), {
      code: 'ERR_CONFIG_INVALID',
      message: /cannot listen on 127\.0\.0\.1:\d+/,
    });
  });

  it('keeps sessions over a restart', async () => {
    const { browser } = await running.signIn('alice', 'wonderland');
    await running.restart();
    assert.match(await browser.text('/mail/INBOX'), /backend a/);
  });
});

describe('a reload', () => {
  let running: RunningGateway;
  before(async () => {
    running = await startRunning();
  });
  after(() => running[Symbol.asyncDispose]());

  it('takes a changed configuration, and says what changed', async () => {
    await running.rewrite('name: Postern demo', 'name: Example Mail');
    await running.gateway.reload();
    const page = await (await fetch(`${running.origin}/-/login`)).text();
    assert.match(page, /Example Mail/);
    assert.deepEqual(running.logged.at(-1)?.event, 'config-reloaded');
    assert.deepEqual(running.logged.at(-1)?.fields['changed'], ['login.branding.name']);
    assert.match(String(running.logged.at(-1)?.fields['serverKeys']), /^[0-9a-f]{8}$/);
    assert.equal(running.logged.find(({ event }) => event === 'ready')?.fields['pid'], process.pid);
  });

  it('keeps the old configuration when the new one has a problem, and names it', async () => {
    const good = await readFile(running.configFile, 'utf8');
    await running.rewrite('user_field: user', 'user_feild: user');
    await running.gateway.reload();
    assert.equal(running.logged.at(-1)?.level, 'error');
    assert.match(JSON.stringify(running.logged.at(-1)?.fields), /user_feild/);
    const { landed } = await running.signIn('alice', 'wonderland');
    assert.equal(landed.status, 200);
    await writeFile(running.configFile, good);
  });

  it('refuses what a running gateway cannot change, by name', async () => {
    const good = await readFile(running.configFile, 'utf8');
    await running.rewrite(/^listen: .*$/m, 'listen: 127.0.0.1:1');
    await running.gateway.reload();
    assert.match(JSON.stringify(running.logged.at(-1)?.fields['problems']), /listen: cannot change/);
    await writeFile(running.configFile, good);
  });

  it('signs out the users of a backend that is gone, with a reason, and nobody else', async () => {
    const alice = await running.signIn('alice', 'wonderland');
    const bob = await running.signIn('bob', 'bread&butter');
    await running.rewrite(/^ {2}b: \{ imap.*$/m, '');
    await writeFile(running.configFile.replace('postern.yaml', 'users.map'), 'alice@example.test: a\n');
    await running.gateway.reload();
    const landed = await bob.browser.open('/mail/INBOX');
    assert.match(landed.path, /^\/-\/login\?.*ended=backend-removed/);
    assert.match(await alice.browser.text('/mail/INBOX'), /backend a/);
  });
});

const withDelay = (yaml: string) => yaml.replace('delay: 0s, deadline: 3s', 'delay: 1s, deadline: 10s');

describe('a drain', () => {
  it('is seen by the load balancer first, and refuses nobody until then', async () => {
    await using running = await startRunning(withDelay);
    const { browser } = await running.signIn('alice', 'wonderland');
    const closed = running.gateway.close();
    assert.equal((await fetch(`${running.origin}/-/ready`)).status, 503);
    assert.equal((await fetch(`${running.origin}/-/live`)).status, 200);
    assert.match(await browser.text('/mail/INBOX'), /backend a/);
    await closed;
    await assert.rejects(fetch(`${running.origin}/-/live`));
  });
});

describe('a gateway whose backend is not there', () => {
  it('answers the users of that backend, and only them, with a page that says so', async () => {
    await using running = await startRunning();
    const alice = await running.signIn('alice', 'wonderland');
    const bob = await running.signIn('bob', 'bread&butter');
    await running.backends.all.find(({ name }) => name === 'b')?.webmail.close();
    const page = await bob.browser.open('/mail/INBOX');
    assert.equal(page.status, 503);
    assert.match(page.body.toString(), /Reference/);
    assert.match(await alice.browser.text('/mail/INBOX'), /backend a/);
  });

  it('tells a script in JSON, with the time to try again', async () => {
    await using running = await startRunning();
    const { browser } = await running.signIn('bob', 'bread&butter');
    await running.backends.all.find(({ name }) => name === 'b')?.webmail.close();
    const response = await fetch(`${running.origin}/api/poll`, { headers: { cookie: browser.cookieField } });
    assert.equal(response.status, 503);
    assert.equal(response.headers.get('content-type'), 'application/json');
    assert.ok(Number(response.headers.get('retry-after')) > 0);
  });
});

describe('the addresses of a configuration', () => {
  it('below port 1024 are refused with what the user lacks', async () => {
    const refused = new Server();
    refused.listen = () => {
      process.nextTick(() => refused.emit('error', Object.assign(new Error('listen EACCES'), { code: 'EACCES' })));
      return refused;
    };
    await assert.rejects(listen(refused, { host: '0.0.0.0', port: 443 }), {
      code: 'ERR_CONFIG_INVALID',
      message:
        /^cannot listen on 0\.0\.0\.0:443: ports below 1024 need CAP_NET_BIND_SERVICE, which the user \w+ lacks: add low-ports\.conf to the unit \(docs\/install\.md\), or choose a port from 1024 on$/,
    });
  });

  it('are named when they cannot be bound', async () => {
    const taken = createServer();
    await once(taken.listen(0, '127.0.0.1'), 'listening');
    const { port } = taken.address() as AddressInfo;
    try {
      await assert.rejects(
        startRunning((yaml) =>
          yaml.replace('operators: { listen: 127.0.0.1:0 }', `operators: { listen: 127.0.0.1:${port} }`),
        ),
        { message: new RegExp(`cannot listen on 127\\.0\\.0\\.1:${port}`) },
      );
    } finally {
      taken.close();
    }
  });
});
