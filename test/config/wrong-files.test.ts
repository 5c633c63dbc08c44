import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { problemsOf, smallest } from './config.fixture.ts';

/** Whole files. */
const wrongFiles: readonly (readonly [name: string, text: string, lines: readonly string[]])[] = [
  [
    'an empty file',
    '',
    ['postern.yaml:1:1 the file is empty: write listen: 127.0.0.1:8080 and so on, or create it with postern init'],
  ],
  [
    'a list',
    '- a',
    [
      'postern.yaml:1:1 the file is not a map of keys: write listen: 127.0.0.1:8080 and so on, or create it with postern init',
    ],
  ],
  [
    'a key twice, and a tab',
    'listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\nlog:\n\tlevel: info\n',
    [
      'postern.yaml:2:1 the same key stands above: remove one of the two',
      'postern.yaml:4:1 a tab indents this line: YAML allows only spaces',
    ],
  ],
  [
    'an alias for nothing, and a tag',
    'listen: *x\nlog: !secret x\n',
    [
      'postern.yaml:1:9 *x is not defined: define &x above, or put the value in quotes',
      'postern.yaml:2:6 tags (!…) are not supported: put the value in quotes',
    ],
  ],
  [
    'all that is required is missing',
    'log: { level: info }',
    [
      'postern.yaml:1:1 public_url: is missing: write scheme and host as users type them, such as https://mail.example.org',
      'postern.yaml:1:1 directory: is missing: write its keys: default_domain, domain_aliases, windows_domains, detail_separator, forbidden_characters, sources, hosts, source_timeout, lookup_timeout, cache',
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
      'postern.yaml:3:29 directory.domain_aliases.b.test: points to c.test, which is itself an alias: write the domain that it stands for',
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
      'postern.yaml:3:45 backend_defaults.imap: "imaps://mx" does not contain $host: write it like imaps://$host',
      'postern.yaml:3:68 backend_defaults.imap_port: 0 is not a number in this range: write a whole number from 1 to 65535',
      'postern.yaml:5:36 backends.a.webmail: "ftp://mx1/" is not a webmail URL: write the address under which the gateway reaches it, such as http://mx1.internal/ or https://mx1/mail/',
      'postern.yaml:5:56 backends.a.driver: "roundcub" is not known here: did you mean roundcube?',
      'postern.yaml:6:3 backends.b/1: "b/1" is not a valid name: use letters, digits, dots, dashes and underscores',
      'postern.yaml:6:16 backends.b/1.imap: "imap://mx1:0" names no valid host: write imaps://HOST (TLS from the first byte) or imap://HOST (STARTTLS, required)',
      'postern.yaml:6:39 backends.b/1.webmail: "http://mx1/#x" has a fragment, which never reaches a server: write the address under which the gateway reaches it, such as http://mx1.internal/ or https://mx1/mail/',
      'postern.yaml:7:6 backends.c: 5 is not a backend: write { imap: imaps://HOST, webmail: http://HOST/ }',
      'postern.yaml:8:3 backends.A: is already a backend in DIR/postern.yaml: give this one another name',
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
      'postern.yaml:1:1 no such file: give one with -c FILE, or create one with postern init',
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
    'backends.d/1.yaml:2:36 backends.b.webmail: "nothing" is not a webmail URL: write the address under which the gateway reaches it, such as http://mx1.internal/ or https://mx1/mail/',
    'backends.d/1.yaml:3:21 backends.c.tls_ca_file: there is no file DIR/backends.d/ca.crt: create it, or name another (paths are relative to the file that names them)',
    'backends.d/2.yaml:2:3 backends.a: is already a backend in DIR/postern.yaml: give this one another name',
    'backends.d/2.yaml:3:1 listen: is not a valid key here: use backends',
    'backends.d/3.yaml:2:1 is not YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
  ]);
});

test('what drivers say of their settings is told where the setting stands, once', async (t) => {
  const text = `public_url: https://mail.test
directory: { sources: [{ type: map, fil: users.map }] }
backend_defaults:
  driver: header
  header: { secret_feld: X-Secret, user_field: X-User, secret: { env: KEY } }
  imap: imaps://$host
  webmail: http://$host/
backends:
  a: mx1
  b: { host: mx2, header: { password_field: 5 } }
`;
  const options = { checksDrivers: true, env: { KEY: '0123456789abcdef' } };
  assert.deepEqual(await problemsOf(t, { 'postern.yaml': text }, options), [
    'postern.yaml:2:24 directory.sources[0].file: is missing: write a file name, relative to this file',
    'postern.yaml:2:37 directory.sources[0].fil: is not a known key: did you mean file?',
    'postern.yaml:5:13 backend_defaults.header.secret_feld: is not a known key: did you mean secret_field?',
    'postern.yaml:10:45 backends.b.header.password_field: 5 is not a field name: write a name of letters, digits and hyphens that has no other use',
  ]);
});
