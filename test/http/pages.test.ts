import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import request from 'supertest';
import { createViews } from '../../src/http/views.ts';
import { portOf } from '../ports.fixture.ts';
import { branding, type Fixture, startPages, views } from './http.fixture.ts';

/** Sends bytes as they are and gives back everything that came until the server closed. */
async function raw(fixture: Fixture, bytes: string): Promise<string> {
  const socket = connect(portOf(fixture.server), '127.0.0.1');
  await once(socket, 'connect');
  socket.write(bytes);
  return text(socket);
}

const unknownPaths = [
  '/-/',
  '/-/nothing',
  '/-/login/',
  '/-/LOGIN',
  '/-/login/..%2f',
  '/-/login%00',
  '/-/login;x',
  '/-/static/',
  '/-/static/../login',
  '/-/static/%2e%2e/package.json',
  '/-/static/page.css/',
  '/-/%zz',
  '/-/static/constructor',
];
for (const path of unknownPaths) {
  test(`${path} is answered with 404, at once`, async () => {
    await using fixture = await startPages();
    const answer = await raw(fixture, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    assert.match(answer, /^HTTP\/1\.1 404 /);
    assert.match(answer, /Page not found/);
  });
}

for (const method of ['PUT', 'DELETE', 'OPTIONS', 'PATCH', 'PROPFIND']) {
  test(`${method} is answered with what is allowed`, async () => {
    await using fixture = await startPages();
    for (const path of ['/-/login', '/-/logout']) {
      const answer = await raw(fixture, `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      assert.match(answer, /^HTTP\/1\.1 405 /);
      assert.match(answer, /Allow: GET, HEAD, POST\r\n/);
    }
  });
}

test('a POST without a body is answered', async () => {
  await using fixture = await startPages();
  for (const path of ['/-/login', '/-/logout', '/-/nothing']) {
    const answer = await raw(fixture, `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    assert.match(answer, /^HTTP\/1\.1 (303|403|404) /);
  }
});

test('a body of 10 GB is refused by its length, before any of it is read', async () => {
  await using fixture = await startPages();
  const head =
    'POST /-/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 10737418240\r\n\r\n';
  const answer = await raw(fixture, head);
  assert.match(answer, /^HTTP\/1\.1 413 /);
  assert.match(answer, /Connection: close\r\n/);
});

test('a body that grows beyond 8 KiB is refused', async () => {
  await using fixture = await startPages();
  const chunk = `2400\r\n${'a'.repeat(0x2400)}\r\n`;
  const answer = await raw(
    fixture,
    `POST /-/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}`,
  );
  assert.match(answer, /^HTTP\/1\.1 413 /);
});

for (const encoding of ['gzip', 'br', 'x']) {
  test(`a body that is compressed with ${encoding} is refused`, async () => {
    await using fixture = await startPages();
    const reply = await request(fixture.server)
      .post('/-/login')
      .set('Content-Encoding', encoding)
      .type('form')
      .send('a=b');
    assert.equal(reply.status, 415);
  });
}

test('every file of the pages comes with its type, may be kept for good, and is asked for by its version', async () => {
  await using fixture = await startPages();
  const { text: page } = await request(fixture.server).get('/-/login');
  const urls = [...page.matchAll(/(?:href|src)="(\/-\/static\/[^"]+)"/g)].map(([, url]) => url ?? '');
  assert.equal(urls.length, 4);
  for (const url of urls) {
    const reply = await request(fixture.server).get(url);
    assert.equal(reply.status, 200);
    assert.equal(reply.get('Cache-Control'), 'public, max-age=31536000, immutable');
    assert.match(reply.get('Content-Type') ?? '', /^(text\/css|text\/javascript|image\/svg)/);
    assert.equal(reply.get('X-Content-Type-Options'), 'nosniff');
    const again = await request(fixture.server)
      .get(url)
      .set('If-None-Match', reply.get('ETag') ?? '');
    assert.equal(again.status, 304);
    const ofAnotherRelease = await request(fixture.server).get(url.replace(/v=.*/, 'v=other'));
    assert.equal(ofAnotherRelease.get('Cache-Control'), 'no-cache');
    assert.equal((await request(fixture.server).post(url)).status, 404);
  }
});

test('the operator decides on name, logo, colour and links; none of it can act', async () => {
  const logo = { contentType: 'image/svg+xml', body: Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>') };
  const links = [{ label: 'Help & <more>', href: 'https://help.example.org/?a=1&b=2' }];
  await using fixture = await startPages({
    views: createViews({ ...branding, name: 'Müller & Söhne', logo, links, accentColour: '#a00' }),
  });
  const { text: page } = await request(fixture.server).get('/-/login');
  assert.match(page, /Müller &amp; Söhne/);
  assert.match(page, /<a href="https:\/\/help\.example\.org\/\?a=1&amp;b=2">Help &amp; &lt;more&gt;<\/a>/);
  const shown = await request(fixture.server).get(/src="(\/-\/static\/logo[^"]*)"/.exec(page)?.[1] ?? '');
  assert.equal(shown.get('Content-Type'), 'image/svg+xml');
  assert.equal(shown.get('Content-Security-Policy'), "default-src 'none'; style-src 'unsafe-inline'; sandbox");
  const css = await request(fixture.server).get('/-/static/accent.css');
  assert.match(css.text, /--accent: #aa0000/);
});

test('the pages ask for no file that is not there', () => {
  assert.throws(() => views.assets.url('nothing.js'), TypeError);
});
