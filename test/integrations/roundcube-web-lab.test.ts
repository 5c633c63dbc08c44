import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { IncomingMessage, request as sendRequest } from 'node:http';
import { after, before, suite, test } from 'node:test';
import { withLab } from '../lab/lab.ts';
import { RoundcubeUser } from '../lab/roundcube-user.ts';
import { type OwnGateway, startGateway } from './own-gateway.fixture.ts';
import { type OwnWebServer, startRoundcubeWeb } from './own-web-server.fixture.ts';

const lab = await withLab('a');

/** The status of a path as it is written, asked from this address. */
async function statusOf(url: string, localAddress = '127.0.0.1'): Promise<number | undefined> {
  const { origin } = new URL(url);
  const request = sendRequest(origin, { path: url.slice(origin.length), localAddress });
  request.end();
  const [response]: unknown[] = await once(request, 'response');
  assert.ok(response instanceof IncomingMessage);
  response.resume();
  return response.statusCode;
}

for (const server of ['nginx', 'apache'] as const) {
  suite(`Roundcube behind the sample for ${server}`, { concurrency: false }, () => {
    const running = new AsyncDisposableStack();
    let web: OwnWebServer;
    let gateway: OwnGateway;
    before(async () => {
      web = running.use(await startRoundcubeWeb(server, `${lab.dataFolder}/a`));
      const imap = `imaps://127.0.0.11:${lab.port(993)}`;
      gateway = running.use(
        await startGateway({
          caFile: lab.caFile,
          users: { 'alice@example.test': 'a' },
          backends: { a: `{ imap: "${imap}", webmail: "${web.origin}/", driver: roundcube }` },
        }),
      );
    });
    after(() => running.disposeAsync());

    test('nobody but a gateway gets in', async () => {
      for (const path of ['/', '/index.php', '/?_task=login', '/program/js/app.min.js', '/static.php/skins/x.css']) {
        assert.equal(await statusOf(web.origin + path, '127.0.0.99'), 403, path);
      }
      assert.equal(await statusOf(`${web.origin}/?_task=login`), 200);
    });

    test('what a page needs is there, and what lies beside it is not', async () => {
      const page = await (await fetch(`${web.origin}/?_task=login`)).text();
      const needed = [...page.matchAll(/(?:src|href)="([^"?]+\.(?:js|css|svg|png))[^"]*"/g)].map(
        ([, path = '']) => path,
      );
      assert.ok(needed.length >= 6, page);
      for (const path of needed) assert.equal(await statusOf(`${web.origin}/${path}`), 200, path);
      for (const path of ['config/config.inc.php', 'SQL/sqlite.initial.sql', '../config/config.inc.php', 'vendor/x']) {
        assert.ok([400, 403, 404].includes((await statusOf(`${web.origin}/${path}`)) ?? 0), path);
      }
    });

    test('nobody reads the settings of a plugin', async () => {
      const plugin = `${lab.dataFolder}/a/run/rc/plugins/postern-${server}`;
      running.defer(() => rm(plugin, { recursive: true }));
      await mkdir(plugin);
      const names = ['config.inc.php', 'config.inc.php~', 'config.inc.php.dpkg-old', '.config.inc.php.swp', 'seen.js'];
      for (const name of names) await writeFile(`${plugin}/${name}`, "<?php $config['key'] = 'of-the-plugin';");
      const answerTo = async (name: string) => fetch(`${web.origin}/plugins/postern-${server}/${name}`);
      assert.match(await (await answerTo('seen.js')).text(), /of-the-plugin/);
      for (const name of [...names.slice(0, -1), 'config.inc.php/x.css']) {
        const answer = await answerTo(name);
        assert.doesNotMatch(await answer.text(), /of-the-plugin/, name);
        // Apache runs the script, which says nothing.
        if (server === 'nginx' || !name.startsWith('config.inc.php')) assert.equal(answer.status, 404, name);
      }
    });

    test('through the gateway, a person signs in, reads and signs out', async () => {
      const person = new RoundcubeUser(gateway.origin);
      const page = await person.signIn('alice', 'alice-pw');
      assert.match(page.body, /"task":"mail"/);
      assert.match((await person.script('/?_task=mail&_action=list&_mbox=INBOX')).body, /add_message_row/);
      await person.get(`/?_task=logout&_token=${person.token}`);
      assert.equal((await person.get('/?_task=mail')).status, 303);
    });
  });
}
