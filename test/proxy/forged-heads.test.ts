import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, get, RawClient, request, startGate, startRecordingBackend } from './gate.fixture.ts';

/** Fields that say who, from where, by which scheme, for which target or method. Only the gateway may say so. */
const forged = `
  X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Forwarded-Port X-Forwarded-Server X-Forwarded-User
  X-Forwarded-Email X-Forwarded-Prefix X-Forwarded-Ssl X-Forwarded-Client-Cert Forwarded X-Real-IP X-Client-IP
  Client-IP True-Client-IP CF-Connecting-IP Fastly-Client-IP X-Cluster-Client-IP X-Originating-IP X-Remote-IP
  X-Remote-Addr X-ProxyUser-Ip X-Azure-ClientIP Remote-User X-Remote-User X-User X-Username X-Auth-User
  X-WebAuth-User X-Authenticated-User X-WebObjects-Remote-User X-WebObjects-Auth-Type X-WebObjects-Server-URL
  X-Sso-User X-Sso-Secret X-Postern-Secret X-Postern-User X-Actor X-MS-Client-Principal X-SSL-Client-DN
  SSL-Client-Verify X-Original-URL X-Rewrite-URL X-Original-Host X-Host X-Override-URL X-HTTP-DestinationURL
  X-HTTP-Method-Override X-HTTP-Method X-Method-Override X-Accel-Redirect X-Sendfile Proxy Proxy-Authorization
  Proxy-Connection Authorization Front-End-Https X-Url-Scheme
  Forwarded-For Forwarded-Host X-ForwardedFor X-Forwarded-Uri X-Forwarded-Prefix X-Real-Port X-ClientIP Client-Cert
  Client-Cert-Chain X-Client-Verify X-Client-Cert X-Client-S-DN X-Client-Addr TLS-Client-Cert X-TLS-Client-DN
  Cf-Access-Authenticated-User-Email Cf-Access-Jwt-Assertion Cf-Visitor X-Goog-Authenticated-User-Email
  X-Goog-Authenticated-User-Id X-Goog-Iap-Jwt-Assertion Tailscale-User-Login Tailscale-User-Name X-Tailscale-User
  Oidc-Claim-Sub Oidc-Claim-Email X-Oidc-Claim-Email X-Amzn-Oidc-Identity X-Amzn-Mtls-Clientcert Remote-Groups
  Remote-Email Remote-Name X-Remote-Groups X-Webmail-User X-Webmail-Login X-User-Id X-User-Email X-UserName X-Email
  X-Groups X-Identity X-Pomerium-Claim-Email X-Pomerium-Jwt-Assertion X-BEResource X-AnonResource-Backend
  X-BackEndCookie X-CommonAccessToken msExchProxyUri X-msExchTargetBackend X-Script-Name Script-Name Path-Info
  X-HTTP-Host-Override X-HTTP-Method X-Rewrite-Target X-Request-Uri X-Requested-Url Shib-Session-Id Shib-Identity-Provider
  X-Shib-User X-Vouch-User X-Vouch-IdP-Claims-Email X-Authentik-Username X-Authelia-User X-Consumer-Username
  X-Credential-Identifier X-Kong-Proxy X-Envoy-Original-Path X-Jwt-Assertion X-Id-Token Mellon-Name-Id Saml-Subject
  Sm-User Iv-User Iv-Groups Oam-Remote-User Auth-User X-Auth Authenticated-User X-MS-Token-AAD-Id-Token
  X-MS-Client-Principal-Name X-Zumo-Auth X-Krb-Principal X-Impersonate-User Impersonate-User X-On-Behalf-Of
  WL-Proxy-Client-IP WL-Proxy-SSL X-Userinfo X-Authorization X-Authentication-Email X-Authorized-User X-Token-User-Email
  X-Preferred-Username Logon-User X-Logon-User Teleport-Jwt-Assertion Ngrok-Auth-User-Email X-TrueClientIP X-RealIP
  Incap-Client-IP Fly-Client-IP Do-Connecting-IP X-Sucuri-ClientIP X-Middleware-Subrequest Redirect-Remote-User HTTP-Remote-User X-Server-Name X-Proto X-Port X-Source-IP
`
  .trim()
  .split(/\s+/);
const spellings: readonly ((name: string) => string)[] = [
  (name) => name,
  (name) => name.toLowerCase(),
  (name) => name.toUpperCase(),
  (name) => name.replaceAll('-', '_'),
  (name) => name.replaceAll('-', '.'),
  (name) => name.replace('-', '_'),
];

for (const [i, spell] of spellings.entries()) {
  test(`no claim of a client reaches a backend, spelt as ${spell('X-Forwarded-For')} (${i})`, async () => {
    await using backend = await startRecordingBackend();
    await using gate = await startGate({ backendPort: backend.port });
    for (let from = 0; from < forged.length; from += 20) {
      const lines = forged.slice(from, from + 20).map((name) => `${spell(name)}: forged-${name}`);
      assert.match(await ask(gate.port, get('/', ...lines)), /ok$/);
    }
    for (const { fields } of backend.seen) assert.ok(!fields.some((field) => field.includes('forged')), fields.join());
    const own = backend.seen[0]?.fields ?? [];
    assert.deepEqual(
      own.filter((_value, at) => own[at - 1] === 'X-Forwarded-For'),
      ['127.0.0.1'],
    );
  });
}

/** Fields that browsers, webmail scripts, and DAV and ActiveSync programs send, and that their servers need. */
const genuine = `
  User-Agent Accept Accept-Language Referer Origin Content-Type If-None-Match If-Modified-Since If-Match Cache-Control
  Pragma DNT Sec-GPC Sec-Fetch-Site Sec-CH-UA Via X-Requested-With X-XSRF-TOKEN X-CSRF-Token
  X-CSRFToken X-Roundcube-Request X-Horde-Session-Token X-Zimbra-Csrf-Token X-SOGo-Token X-Frame-Options X-File-Name
  X-File-Size X-User-Agent X-Client-Version X-ClientApplication X-ClientInfo Client-Request-Id X-AnchorMailbox
  X-OWA-CANARY X-OWA-UrlPostData X-OWA-ActionName Depth Destination If Lock-Token Overwrite Timeout Prefer Brief
  Schedule-Reply Slug X-WebDAV-Method MS-ASProtocolVersion MS-ASAcceptMultiPart X-MS-PolicyKey X-MS-RP
  X-MapiHttpCapability X-Nextcloud-WebDAV-AutoMkcol X-Apple-Client-Info X-Upload-Content-Type X-Timezone-Offset
  X-SM-Token X-Token X-Department X-Beacon Last-Event-ID X-Powered-By X-Mailer X-Priority
`
  .trim()
  .split(/\s+/);

test('what browsers, webmails’ scripts and programs send arrives', async () => {
  await using backend = await startRecordingBackend();
  await using gate = await startGate({ backendPort: backend.port });
  assert.match(await ask(gate.port, get('/', ...genuine.map((name) => `${name}: genuine`))), /ok$/);
  const fields = backend.seen[0]?.fields ?? [];
  assert.deepEqual(
    fields.filter((_field, at) => fields[at + 1] === 'genuine'),
    genuine,
  );
});

test('fields named in Connection do not go on, and the fields that the gateway adds stay', async () => {
  await using backend = await startRecordingBackend();
  await using gate = await startGate({ backendPort: backend.port });
  gate.session.jar.absorb('sid=1; HttpOnly; Path=/', '/', 0);
  const named = 'X-Forwarded-For, X-Forwarded-Host, Cookie, X-Mine, Upgrade, TE';
  await ask(gate.port, get('/', `Connection: keep-alive, ${named}`, 'X-Mine: 1', 'TE: trailers'));
  const names = (backend.seen[0]?.fields ?? []).filter((_field, i) => i % 2 === 0).map((name) => name.toLowerCase());
  for (const name of ['x-forwarded-for', 'x-forwarded-host', 'cookie', 'host']) assert.ok(names.includes(name), name);
  for (const name of ['x-mine', 'te', 'upgrade']) assert.ok(!names.includes(name), name);
});

const cookie = 'Cookie: postern=alice';
const hosts: readonly [name: string, bytes: string, status: RegExp][] = [
  ['none', `GET / HTTP/1.1\r\n${cookie}\r\n\r\n`, /^HTTP\/1\.1 400 /],
  ['two that agree', get('/', 'Host: mail.example.test'), /^HTTP\/1\.1 400 /],
  ['two that differ', get('/', 'Host: evil.test'), /^HTTP\/1\.1 400 /],
  ['a foreign one', `GET / HTTP/1.1\r\nHost: evil.test\r\n${cookie}\r\n\r\n`, /^HTTP\/1\.1 421 /],
  ['a list', `GET / HTTP/1.1\r\nHost: mail.example.test, evil.test\r\n${cookie}\r\n\r\n`, /^HTTP\/1\.1 400 /],
  ['one with a user', `GET / HTTP/1.1\r\nHost: evil@mail.example.test\r\n${cookie}\r\n\r\n`, /^HTTP\/1\.1 400 /],
  ['one with a path', `GET / HTTP/1.1\r\nHost: mail.example.test/x\r\n${cookie}\r\n\r\n`, /^HTTP\/1\.1 400 /],
  ['one with another port', `GET / HTTP/1.1\r\nHost: mail.example.test:81\r\n${cookie}\r\n\r\n`, /^HTTP\/1\.1 421 /],
  ['one that ends in a dot', `GET / HTTP/1.1\r\nHost: mail.example.test.\r\n${cookie}\r\n\r\n`, /^HTTP\/1\.1 308 /],
  [
    'one that ends in a dot, to write',
    `POST / HTTP/1.1\r\nHost: mail.example.test.\r\n${cookie}\r\n\r\n`,
    /^HTTP\/1\.1 421 /,
  ],
  [
    'another in the target',
    `GET http://evil.test/ HTTP/1.1\r\nHost: mail.example.test\r\n${cookie}\r\n\r\n`,
    /^HTTP\/1\.1 421 /,
  ],
  [
    'another in the target, with a user',
    `GET http://mail.example.test@evil.test/ HTTP/1.1\r\nHost: mail.example.test\r\n${cookie}\r\n\r\n`,
    /^HTTP\/1\.1 400 /,
  ],
  ['empty', `GET / HTTP/1.1\r\nHost: \r\n${cookie}\r\n\r\n`, /^HTTP\/1\.1 400 /],
  ['the name of a pool', `GET / HTTP/1.1\r\nHost: postern_nodes\r\n${cookie}\r\n\r\n`, /^HTTP\/1\.1 421 /],
  [
    'a stranger’s X-Forwarded-Host',
    `GET / HTTP/1.1\r\nHost: evil.test\r\nX-Forwarded-Host: mail.example.test\r\n${cookie}\r\n\r\n`,
    /^HTTP\/1\.1 421 /,
  ],
];

for (const [name, bytes, status] of hosts) {
  test(`a request whose Host is ${name} reaches no backend`, async () => {
    await using backend = await startRecordingBackend();
    await using gate = await startGate({ backendPort: backend.port });
    assert.match(await ask(gate.port, bytes), status);
    assert.equal(backend.seen.length, 0);
  });
}

const targets: readonly [target: string, arrives: boolean | string][] = [
  ['/%2e%2e/%2e%2e/etc/passwd', true],
  ['/../../etc/passwd', true],
  ['/a/./b//c///', true],
  ['/;jsessionid=1/x;y', true],
  ['/%00%0d%0aSet-Cookie:%20x', true],
  ['/%252f%255c', true],
  ['/\\..\\x', true],
  ['//evil.test/x', true],
  ['/?a=b&a=c&[]=%ff', true],
  ['/|<>^`{}"\'', true],
  ['/@evil.test:80/', true],
  ['/a%', true],
  ['/-', true],
  ['/%2d/login', true],
  ['/x#y', false],
  ['*', false],
  ['evil', false],
  ['/a\tb', false],
  ['/\x7f', false],
  ['/ä', false],
  ['', false],
  // The absolute form of our own address arrives as its path (RFC 9112, 3.2.2).
  ['http://mail.example.test/', '/'],
  ['HTTPS://Mail.Example.Test/%2e?x=http://evil.test/', '/%2e?x=http://evil.test/'],
  ['http://mail.example.test?x', '/?x'],
  ['http://mail.example.test//evil.test/', '//evil.test/'],
  ['http:/mail.example.test/', false],
  ['http://mail.example.test/a b', false],
  ['?x', false],
];

for (const [target, arrives] of targets) {
  const how = arrives === true ? 'arrives byte for byte' : arrives === false ? 'is refused' : `arrives as ${arrives}`;
  test(`with a session ${JSON.stringify(target)} ${how}`, async () => {
    await using backend = await startRecordingBackend();
    await using gate = await startGate({ backendPort: backend.port });
    using client = await RawClient.to(gate.port);
    const answer = await client.send(get(target, 'Connection: close')).closed();
    assert.match(answer, arrives === false ? /^HTTP\/1\.1 400 / : /^HTTP\/1\.1 200 /);
    assert.deepEqual(
      backend.seen.map((one) => one.target),
      arrives === false ? [] : [arrives === true ? target : arrives],
    );
  });
}

test('nothing that a client sends chooses another method', async () => {
  await using backend = await startRecordingBackend();
  await using gate = await startGate({ backendPort: backend.port });
  for (const method of ['TRACE', 'CONNECT', 'TRACK', 'DEBUG', 'PROPFIND', 'get', 'GET\0', 'PURGE']) {
    using client = await RawClient.to(gate.port);
    const answer = await client.send(request(method, '/', [cookie, 'Connection: close'])).closed();
    assert.match(answer, /^(?:HTTP\/1\.1 4\d\d |$)/, method);
  }
  await ask(
    gate.port,
    request('POST', '/?_method=DELETE', [cookie, 'X-HTTP-Method-Override: DELETE', 'Content-Length: 0']),
  );
  assert.deepEqual(
    backend.seen.map(({ method, fields }) => [method, fields.includes('DELETE')]),
    [['POST', false]],
  );
});
