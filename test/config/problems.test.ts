import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { problemsOf, smallest } from './fixture.ts';

/** What stands under the smallest configuration, from line 5 on, and what must be said of it. */
const wrong: readonly (readonly [name: string, more: string, lines: readonly string[]])[] = [
  [
    'an unknown key, with the nearest one',
    'lisen: 127.0.0.1:80',
    ['postern.yaml:5:1 lisen: is not a known key: did you mean listen?'],
  ],
  [
    'an unknown key that is near to nothing',
    'operators: { zebra: 1 }',
    ['postern.yaml:5:14 operators.zebra: is not a key that exists here: use listen'],
  ],
  [
    'a bare number where a duration belongs',
    'sessions: { idle_timeout: 30 }',
    [
      'postern.yaml:5:27 sessions.idle_timeout: 30 is not a duration: write a number and a unit, such as 500ms, 3s, 10 min or 12h',
    ],
  ],
  [
    'a duration out of its bounds',
    'login:\n  refusal_after: 1h\n  deadline: 2h',
    [
      'postern.yaml:6:18 login.refusal_after: "1h" is too much: write at most 30 s',
      'postern.yaml:7:13 login.deadline: "2h" is too much: write at most 2 min',
    ],
  ],
  [
    'an idle timeout that could never be reached',
    'sessions: { idle_timeout: 13h }',
    [
      'postern.yaml:5:27 sessions.idle_timeout: is longer than absolute_timeout, so it would never be reached: write a shorter one',
    ],
  ],
  [
    'a size without a unit, and a number out of its range',
    'requests: { header_size: 16000, header_fields: 5 }',
    [
      'postern.yaml:5:26 requests.header_size: 16000 is not a size: write a number and a unit, such as 512 B, 16 KiB or 1 MiB',
      'postern.yaml:5:48 requests.header_fields: 5 is not such a number: write a whole number from 20 to 1000',
    ],
  ],
  [
    'networks that are none, and one that is everybody',
    'trusted_proxies: [10.0.0.0/33, 0.0.0.0/0]',
    [
      'postern.yaml:5:19 trusted_proxies[0]: "10.0.0.0/33" has a prefix longer than 32: write a network such as 10.1.2.0/24 or 2001:db8::/32, or one address',
      'postern.yaml:5:32 trusted_proxies[1]: "0.0.0.0/0" is the whole Internet: list only the addresses that you run yourself',
    ],
  ],
  [
    'a text where a list belongs',
    'trusted_proxies: 10.0.0.0/8',
    [
      'postern.yaml:5:18 trusted_proxies: "10.0.0.0/8" is not a list: write networks such as 10.1.2.0/24 in brackets, separated by commas, or [] for none',
    ],
  ],
  ['a section without its keys', 'operators:', ['postern.yaml:5:11 operators: is empty: write its keys: listen']],
  [
    'a colour that YAML takes for a comment',
    'login: { branding: { accent: #0b5fff\n  } }',
    [
      'postern.yaml:5:30 login.branding.accent: is empty: write six hexadecimal digits in quotes, such as "#0b5fff" (without quotes, # begins a comment)',
    ],
  ],
  [
    'a word that is not among the known ones',
    'log: { level: inof, requests: 2 }',
    [
      'postern.yaml:5:15 log.level: "inof" is not known here: did you mean info?',
      'postern.yaml:5:31 log.requests: is not known here: write off, all, or a share between 0 and 1 such as 0.01',
    ],
  ],
  [
    'a listener on a host name',
    'listen: mx.test:80',
    [
      'postern.yaml:5:9 listen: "mx.test:80" names a host instead of an address: write an address and a port, such as 127.0.0.1:8080, 0.0.0.0:8080 or "[::]:8080"',
    ],
  ],
  [
    'certificates that are not there',
    'passdb: { tls_ca_file: tls/ca.crt }',
    [
      'postern.yaml:5:24 passdb.tls_ca_file: there is no file DIR/tls/ca.crt: create it, or name another (paths are relative to the file that names them)',
    ],
  ],
  [
    'a file that holds no certificate',
    'passdb: { tls_ca_file: postern.yaml }',
    [
      'postern.yaml:5:24 passdb.tls_ca_file: DIR/postern.yaml holds no certificate: name a file of PEM certificates (-----BEGIN CERTIFICATE-----)',
    ],
  ],
  [
    'an included file that is not there',
    'include: more.yaml',
    ['postern.yaml:5:10 include: there is no file more.yaml: create it, or name another'],
  ],
];

describe('a problem is told with its place, and what to write instead', () => {
  for (const [name, more, lines] of wrong) {
    test(name, async (t) => assert.deepEqual(await problemsOf(t, { 'postern.yaml': smallest(more) }), lines));
  }
});

/** Whole files. */
const wrongFiles: readonly (readonly [name: string, text: string, lines: readonly string[]])[] = [
  [
    'an empty file',
    '',
    ['postern.yaml:1:1 the file is empty: write listen: 127.0.0.1:8080 and so on, or let postern init write it'],
  ],
  [
    'a list',
    '- a',
    [
      'postern.yaml:1:1 the file is not a map of keys: write listen: 127.0.0.1:8080 and so on, or let postern init write it',
    ],
  ],
  [
    'a key twice, and a tab',
    'listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\nlog:\n\tlevel: info\n',
    [
      'postern.yaml:2:1 the same key stands above: remove one of the two',
      'postern.yaml:4:1 a tab indents this line: YAML takes spaces only',
    ],
  ],
  [
    'an alias for nothing, and a tag',
    'listen: *x\nlog: !secret x\n',
    [
      'postern.yaml:1:9 *x stands for nothing: define &x above, or put the value in quotes',
      'postern.yaml:2:6 a tag (!…) is not understood here: put the value in quotes',
    ],
  ],
  [
    'all that is required is missing',
    'log: { level: info }',
    [
      'postern.yaml:1:1 public_url: is missing: write scheme and host as users type them, such as https://mail.example.org',
      'postern.yaml:1:1 directory: is missing: write its keys: default_domain, domain_aliases, detail_separator, forbidden_characters, sources, hosts, source_timeout, lookup_timeout, cache',
      'postern.yaml:1:1 backends: names no backend: write { a: { imap: imaps://HOST, webmail: http://HOST/ } }',
    ],
  ],
  [
    'sources that are none',
    `public_url: https://mail.test
directory:
  sources:
    - { type: mapp, file: users.map }
    - { type: static, backend: aa }
    - users.map
backends:
  a: { imap: imaps://mx1, webmail: http://mx1/, driver: none }`,
    [
      'postern.yaml:4:15 directory.sources[0].type: "mapp" is not a type of source: did you mean map?',
      'postern.yaml:6:7 directory.sources[2]: "users.map" is not a source: write { type: map, file: users.map }',
    ],
  ],
  [
    'a backend of the directory that does not exist, and domains that lead nowhere',
    `public_url: https://mail.test
directory:
  domain_aliases: { b.test: c.test, c.test: d.test }
  hosts: { old.test: aa }
  sources: [{ type: static, backend: b }]
backends:
  aaa: { imap: imaps://mx1, webmail: http://mx1/, driver: none }`,
    [
      'postern.yaml:3:29 directory.domain_aliases.b.test: leads to c.test, which is an alias itself: write the domain that it stands for',
    ],
  ],
  [
    'names of backends that do not exist',
    `public_url: https://mail.test
directory:
  hosts: { old.test: aa }
  sources: [{ type: static, backend: zebra }]
backends:
  aaa: { imap: imaps://mx1, webmail: http://mx1/, driver: none }`,
    [
      'postern.yaml:3:22 directory.hosts.old.test: there is no backend "aa": did you mean aaa?',
      'postern.yaml:4:38 directory.sources[0].backend: there is no backend "zebra": write the name of a backend',
    ],
  ],
  [
    'backends of all wrong kinds',
    `public_url: https://mail.test
directory: { sources: [{ type: map, file: users.map }] }
backend_defaults: { drivr: roundcube, imap: imaps://mx, imap_port: 0 }
backends:
  a: { imap: imaps://mx1, webmail: ftp://mx1/, driver: roundcub }
  b/1: { imap: imap://mx1:0, webmail: http://mx1/#x, driver: none }
  c: 5
  A: mx2
`,
    [
      'postern.yaml:3:21 backend_defaults.drivr: is not a known key: did you mean driver?',
      'postern.yaml:3:45 backend_defaults.imap: "imaps://mx" has no $host in it: write it such as imaps://$host',
      'postern.yaml:3:68 backend_defaults.imap_port: 0 is not such a number: write a whole number from 1 to 65535',
      'postern.yaml:5:36 backends.a.webmail: "ftp://mx1/" is not a webmail URL: write the address that the gateway reaches, such as http://mx1.internal/ or https://mx1/mail/',
      'postern.yaml:5:56 backends.a.driver: "roundcub" is not known here: did you mean roundcube?',
      'postern.yaml:6:3 backends.b/1: "b/1" cannot be a name: write letters, digits, dots, dashes, underscores',
      'postern.yaml:6:16 backends.b/1.imap: "imap://mx1:0" names no host that can be dialled: write imaps://HOST (TLS from the first byte) or imap://HOST (STARTTLS, required)',
      'postern.yaml:6:39 backends.b/1.webmail: "http://mx1/#x" has a fragment, which never reaches a server: write the address that the gateway reaches, such as http://mx1.internal/ or https://mx1/mail/',
      'postern.yaml:7:6 backends.c: 5 is not a backend: write { imap: imaps://HOST, webmail: http://HOST/ }',
      'postern.yaml:8:3 backends.A: is a backend in DIR/postern.yaml already: give this one another name',
    ],
  ],
  [
    'backends that lack something, and one machine under two names',
    `public_url: https://mail.test
directory: { sources: [{ type: map, file: users.map }] }
backends:
  a: { imap: imaps://mx1, webmail: http://mx1/, driver: none }
  b: { imap: imaps://mx1:993, webmail: http://mx1, driver: none }
  c: mx3
`,
    [
      'postern.yaml:5:3 backends.b: has the same IMAP server and webmail as a: remove one of the two',
      'postern.yaml:6:3 backends.c: names no webmail driver: write driver: roundcube, here or under backend_defaults',
      'postern.yaml:6:3 backends.c: names no imap address: write imap: imaps://HOST, or a host here and imap: imaps://$host under backend_defaults',
      'postern.yaml:6:3 backends.c: names no webmail address: write webmail: http://HOST, or a host here and webmail: http://$host under backend_defaults',
    ],
  ],
];

describe('a file is read as far as it can be, and all its problems are told at once', () => {
  for (const [name, text, lines] of wrongFiles) {
    test(name, async (t) => assert.deepEqual(await problemsOf(t, { 'postern.yaml': text }), lines));
  }
  test('a file that is not there', async (t) => {
    assert.deepEqual(await problemsOf(t, {}), [
      'postern.yaml:1:1 there is no such file: name another with -c, or let postern init write one',
    ]);
  });
});

test('problems of included files name the file and the place in it', async (t) => {
  const lines = await problemsOf(t, {
    'postern.yaml': smallest('include: [backends.d/*.yaml]\nlog: { levl: info }'),
    'backends.d/1.yaml':
      'backends:\n  b: { imap: imaps://mx2, webmail: nothing, driver: none }\n  c: { tls_ca_file: ca.crt, imap: imaps://mx3, webmail: http://mx3/, driver: none }\n',
    'backends.d/2.yaml':
      'backends:\n  a: { imap: imaps://mx4, webmail: http://mx4/, driver: none }\nlisten: 127.0.0.1:1\n',
    'backends.d/3.yaml': 'backends: [\n',
  });
  assert.deepEqual(lines, [
    'postern.yaml:6:8 log.levl: is not a known key: did you mean level?',
    'backends.d/1.yaml:2:36 backends.b.webmail: "nothing" is not a webmail URL: write the address that the gateway reaches, such as http://mx1.internal/ or https://mx1/mail/',
    'backends.d/1.yaml:3:21 backends.c.tls_ca_file: there is no file DIR/backends.d/ca.crt: create it, or name another (paths are relative to the file that names them)',
    'backends.d/2.yaml:2:3 backends.a: is a backend in DIR/postern.yaml already: give this one another name',
    'backends.d/2.yaml:3:1 listen: is not a key that exists here: use backends',
    'backends.d/3.yaml:2:1 is not YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
  ]);
});

test('what drivers say of their settings is told where the setting stands, once', async (t) => {
  const text = `public_url: https://mail.test
directory: { sources: [{ type: map, fil: users.map }] }
backend_defaults:
  driver: form
  form: { page: login }
  imap: imaps://$host
  webmail: http://$host/
backends:
  a: mx1
  b: { host: mx2, form: { page: 5 } }
`;
  const lines = await problemsOf(
    t,
    { 'postern.yaml': text },
    {
      checks: {
        source: async () => [{ path: ['fil'], message: 'unknown' }],
        webmail: async (_, settings) => [{ path: ['page'], message: `is ${String(settings['page'])}` }],
      },
    },
  );
  assert.deepEqual(lines, [
    'postern.yaml:2:42 directory.sources[0].fil: unknown',
    'postern.yaml:5:17 backend_defaults.form.page: is login',
    'postern.yaml:10:33 backends.b.form.page: is 5',
  ]);
});
