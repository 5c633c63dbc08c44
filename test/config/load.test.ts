import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { remarks } from '../../src/cli/check.ts';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Backend } from '../../src/core/backend.ts';
import { filesOf, load, problemsOf, smallest, someCertificate } from './config.fixture.ts';
import { backendLimits } from '../backend-limits.fixture.ts';

const examples = new URL('../../examples/', import.meta.url);

function backend(config: Config, name: string): Backend {
  const found = [...config.backends.values()].find((one) => one.name === name);
  assert.ok(found, `there is no backend ${name}`);
  return found;
}

test('the example of the laboratory loads as it stands, beside a certificate', async (t) => {
  const directory = filesOf(t, { 'ca.crt': someCertificate });
  for (const name of ['lab.yaml', 'users.map']) copyFileSync(new URL(name, examples), join(directory, name));
  const config = await loadConfig(join(directory, 'lab.yaml'), { env: {} });

  assert.deepEqual(config.listen, { host: '127.0.0.1', port: 8080 });
  assert.deepEqual(config.publicUrls, [
    { origin: 'http://127.0.0.1:8080', authority: '127.0.0.1:8080', secure: false },
  ]);
  assert.deepEqual(config.sessions.store, { kind: 'redis', url: 'redis://127.0.0.1:6379/0' });
  assert.equal(config.sessions.keysFile, join(directory, 'state/keys'));
  assert.deepEqual(config.directory.sources, [{ type: 'map', file: join(directory, 'users.map') }]);
  assert.deepEqual([...config.backends.keys()], ['a', 'b']);
  assert.deepEqual(backend(config, 'b').hosts, [
    {
      name: 'b',
      imap: { hostname: '127.0.0.12', port: 993, security: 'tls', trust: { ca: someCertificate } },
      webmail: { origin: 'http://127.0.0.12', landing: '/', trust: {} },
    },
  ]);
});

test('the listener may say how long it keeps idle connections', async (t) => {
  const listening = async (listen: string) => {
    const { listen: address, keepAliveMs } = await load(t, { 'postern.yaml': smallest(`listen: ${listen}`) });
    return [`${address.host}:${address.port}`, keepAliveMs];
  };
  assert.deepEqual(await listening('0.0.0.0:80'), ['0.0.0.0:80', 65_000]);
  assert.deepEqual(await listening('{ keep_alive: 620s }'), ['127.0.0.1:8080', 620_000]);
  assert.deepEqual(await listening('{ address: "[::]:80", keep_alive: 1h }'), [':::80', 3_600_000]);
  await assert.rejects(listening('{ address: nowhere }'), /ConfigInvalid|address/);
});

test('accept_unsigned_until is remarked by check, and said to be over when it is', async (t) => {
  const remarked = async (sessions: string) => {
    const config = await load(t, { 'postern.yaml': smallest(sessions) });
    return remarks(config, Date.UTC(2030, 0, 1)).filter((remark) => remark.includes('accept_unsigned_until'));
  };
  const until = (time: string) => remarked(`sessions: { accept_unsigned_until: "${time}" }`);
  assert.deepEqual(await remarked(''), []);
  assert.deepEqual(await until('2030-01-01T12:00:00Z'), [
    'sessions.accept_unsigned_until is 2030-01-01T12:00:00.000Z: sessions and state entries that nobody vouches for count until then: remove it when the upgrade from 0.1.0 is over',
  ]);
  assert.deepEqual(await until('2029-12-31T12:00:00Z'), [
    'sessions.accept_unsigned_until is 2029-12-31T12:00:00.000Z: this time is over, and the key does nothing: remove it',
  ]);
});

test('what is left out has the defaults of the design', async (t) => {
  const config = await load(t, { 'postern.yaml': smallest() });
  const directory = config.sessions.keysFile.replace('/state/keys', '');
  assert.deepEqual(config.listen, { host: '127.0.0.1', port: 8080 });
  assert.deepEqual(config.operators, {
    listen: { host: '127.0.0.1', port: 9090 },
    tokens: [],
    socketMode: 0o600,
    hostNames: [],
    agentWeight: 100,
  });
  assert.equal(config.workers, 1);
  assert.deepEqual(config.tls, []);
  assert.deepEqual(config.trustedProxies, []);
  assert.deepEqual(config.sessions, {
    store: { kind: 'embedded', file: join(directory, 'state/postern.sqlite') },
    keysFile: join(directory, 'state/keys'),
    idleTimeoutMs: 30 * 60_000,
    absoluteTimeoutMs: 12 * 3_600_000,
    serveStaleMs: 10 * 60_000,
    maxPerUser: 20,
    forgetPassword: false,
    idleCountsPolls: true,
  });
  assert.deepEqual(config.directory.timeouts, { sourceMs: 2000, lookupMs: 5000 });
  assert.deepEqual(config.directory.cache, {
    ttlMs: 600_000,
    negativeTtlMs: 30_000,
    transientTtlMs: 5000,
    staleMs: 86_400_000,
  });
  assert.deepEqual([config.login.refusalAfterMs, config.login.deadlineMs], [3000, 15_000]);
  assert.deepEqual(config.requests, {
    headerBytes: 16_384,
    headerFields: 100,
    headerDeadlineMs: 10_000,
    stallMs: 120_000,
    uploadBytesPerSecond: 1024,
    dropHeaders: [],
  });
  assert.deepEqual(config.log, { level: 'info', requests: 0, format: 'auto' });
  assert.deepEqual(config.shutdown, { delayMs: 5000, deadlineMs: 60_000 });
  assert.deepEqual(backend(config, 'a').limits, backendLimits);
});

test('a configuration cannot be changed', async (t) => {
  const config = await load(t, { 'postern.yaml': smallest() });
  assert.throws(() => Object.assign(config.listen, { port: 1 }), TypeError);
  assert.throws(() => Object.assign(backend(config, 'a').hosts[0].imap, { port: 1 }), TypeError);
});

describe('backends', () => {
  test('two hundred are one short line each', async (t) => {
    const names = Array.from({ length: 200 }, (_, index) => `b${index + 1}`);
    const config = await load(t, {
      'ca.crt': someCertificate,
      'postern.yaml': `public_url: https://mail.test
directory: { sources: [{ type: static, backend: b1 }] }
backend_defaults:
  driver: roundcube
  tls_ca_file: ca.crt
  imap: imaps://$host:1993
  webmail: http://$host/mail/
  timeouts: { imap_auth: 5s }
backends:
${names.map((name) => `  ${name}: ${name}.internal\n`).join('')}`,
    });
    assert.equal(config.backends.size, 200);
    assert.deepEqual(backend(config, 'b200').hosts[0], {
      name: 'b200',
      imap: { hostname: 'b200.internal', port: 1993, security: 'tls', trust: { ca: someCertificate } },
      webmail: { origin: 'http://b200.internal', landing: '/mail/', trust: { ca: someCertificate } },
    });
    assert.equal(backend(config, 'b200').limits.imapAuthMs, 5000);
    assert.equal(backend(config, 'b200').limits.imapConnectMs, 3000);
  });

  test('what a backend says itself comes before the defaults, and they before what passdb says', async (t) => {
    const [one, two, three] = [someCertificate, `${someCertificate}${someCertificate}`, someCertificate.repeat(3)];
    const config = await load(t, {
      '1.crt': one,
      '2.crt': two,
      '3.crt': three,
      'postern.yaml': `public_url: https://mail.test
directory: { sources: [{ type: static, backend: a }] }
passdb: { tls_ca_file: 1.crt }
backend_defaults: { driver: none, imap_port: 1143, webmail_port: 81, limits: { queue: 1 } }
backends:
  a: { imap: imap://mx1, webmail: http://mx1, limits: { queue: 0 } }
  b: { imap: imap://mx2:143, webmail: http://mx2:80, tls_ca_file: 2.crt, tls_server_name: MX2.test }
  c:
    imap: { url: imap://mx3, tls_ca_file: 3.crt, tls_server_name: imap.test }
    webmail: { url: https://mx3:443/x, tls_server_name: web.test }
    driver: form
`,
    });
    const trusts = ['a', 'b', 'c'].map((name) => {
      const [host] = backend(config, name).hosts;
      return [host.imap.port, host.imap.trust, host.webmail.origin, host.webmail.trust];
    });
    assert.deepEqual(trusts, [
      [1143, { ca: one }, 'http://mx1:81', {}],
      [143, { ca: two, servername: 'mx2.test' }, 'http://mx2', { ca: two, servername: 'mx2.test' }],
      [1143, { ca: three, servername: 'imap.test' }, 'https://mx3', { servername: 'web.test' }],
    ]);
    assert.deepEqual(
      ['a', 'b', 'c'].map((name) => backend(config, name).limits.queue),
      [0, 1, 1],
    );
    assert.deepEqual(
      ['a', 'b', 'c'].map((name) => backend(config, name).driver),
      ['none', 'none', 'form'],
    );
  });

  test('IPv6 stands in brackets, and a host alone without', async (t) => {
    const config = await load(t, {
      'postern.yaml':
        smallest(`  b: { imap: "imaps://[2001:db8::11]:1993", webmail: "http://[2001:DB8::11]:81/", driver: none }
  c: "2001:db8::12"
backend_defaults: { driver: none, imap: imap://$host, webmail: https://$host }
`),
    });
    assert.deepEqual(
      ['b', 'c'].map((name) => [
        backend(config, name).hosts[0].imap.hostname,
        backend(config, name).hosts[0].webmail.origin,
      ]),
      [
        ['2001:db8::11', 'http://[2001:db8::11]:81'],
        ['2001:db8::12', 'https://[2001:db8::12]'],
      ],
    );
  });

  test('included files add theirs, in the order of the names, each with paths of its own', async (t) => {
    const config = await load(t, {
      'postern.yaml': smallest('include: [backends.d/*.yaml, none.d/*.yaml]'),
      'backends.d/20.yaml':
        'backends:\n  c: { imap: imaps://mx3, webmail: http://mx3, driver: none, tls_ca_file: ca.crt }\n',
      'backends.d/10.yaml': 'backends:\n  b: { imap: imaps://mx2, webmail: http://mx2, driver: none }\n',
      'backends.d/ca.crt': someCertificate,
      'backends.d/not-this.txt': 'nonsense',
    });
    assert.deepEqual([...config.backends.keys()], ['a', 'b', 'c']);
    assert.equal(backend(config, 'c').hosts[0].imap.trust.ca, someCertificate);
  });

  test('the settings of the form driver are the defaults, and over them the backend’s own', async (t) => {
    const config = await load(t, {
      'postern.yaml': `public_url: https://mail.test
directory: { sources: [{ type: static, backend: a }] }
backend_defaults: { driver: form, form: { page: /login, user_field: user }, imap: imaps://$host, webmail: http://$host }
backends: { a: mx1, b: { host: mx2, form: { page: /signin } }, c: { host: mx3, driver: none } }`,
    });
    assert.deepEqual(
      ['a', 'b', 'c'].map((name) => backend(config, name).driverSettings),
      [{ page: '/login', user_field: 'user' }, { page: '/signin', user_field: 'user' }, {}],
    );
  });

  test('names that JavaScript has a meaning for are names, or refused, and nothing else', async (t) => {
    const entry = '{ imap: imaps://HOST, webmail: http://HOST, driver: none }';
    const config = await load(t, {
      'postern.yaml': smallest(
        ['constructor', 'toString', '17']
          .map((name) => `  ${name}: ${entry.replaceAll('HOST', `mx.${name}x`)}\n`)
          .join(''),
      ),
    });
    assert.deepEqual([...config.backends.keys()].sort(), ['17', 'a', 'constructor', 'toString']);
    const [line] = await problemsOf(t, { 'postern.yaml': smallest(`  __proto__: ${entry}`) });
    assert.match(line ?? '', /^postern.yaml:5:3 backends.__proto__: "__proto__" is not a valid name/);
  });
});

test('the logo is read, and what it is follows from its name', async (t) => {
  const directory = filesOf(t, {
    'postern.yaml': smallest('login: { branding: { logo: logo.SVG } }'),
    'logo.SVG': '<svg/>',
  });
  const { login } = await loadConfig(join(directory, 'postern.yaml'), { env: {} });
  assert.equal(login.branding.logo?.contentType, 'image/svg+xml');
  assert.deepEqual(Buffer.from(login.branding.logo?.body ?? []), readFileSync(join(directory, 'logo.SVG')));
  writeFileSync(join(directory, 'logo.SVG'), Buffer.alloc(300 * 1024));
  await assert.rejects(loadConfig(join(directory, 'postern.yaml'), { env: {} }), /is larger than 256 KiB/);
});
