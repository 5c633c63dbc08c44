import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { problemsOf, smallest } from './config.fixture.ts';

/** Lines below the smallest configuration, from line 5 on, and the problems that must be reported. */
const wrong: readonly (readonly [name: string, more: string, lines: readonly string[]])[] = [
  [
    'an unknown key, with the nearest one',
    'lisen: 127.0.0.1:80',
    ['postern.yaml:5:1 lisen: is not a known key: did you mean listen?'],
  ],
  [
    'an unknown key that is near to nothing',
    'operators: { zebra: 1 }',
    [
      'postern.yaml:5:14 operators.zebra: is not a valid key here: use listen, socket, socket_access, socket_group, token, tokens, host_names, agent_check or agent_weight',
    ],
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
      'postern.yaml:5:48 requests.header_fields: 5 is not a number in this range: write a whole number from 20 to 1000',
    ],
  ],
  [
    'networks that are none, and one that is everybody',
    'trusted_proxies: [10.0.0.0/33, 0.0.0.0/0]',
    [
      'postern.yaml:5:19 trusted_proxies[0]: "10.0.0.0/33" has a prefix longer than 32: write a network such as 10.1.2.0/24 or 2001:db8::/32, or one address',
      'postern.yaml:5:32 trusted_proxies[1]: "0.0.0.0/0" is the whole Internet: list only your own addresses',
    ],
  ],
  [
    'a text where a list belongs',
    'trusted_proxies: 10.0.0.0/8',
    [
      'postern.yaml:5:18 trusted_proxies: "10.0.0.0/8" is not a list: write networks such as 10.1.2.0/24 in brackets, separated by commas, or [] for none',
    ],
  ],
  [
    'a section without its keys',
    'operators:',
    [
      'postern.yaml:5:11 operators: is empty: write its keys: listen, socket, socket_access, socket_group, token, tokens, host_names, agent_check, agent_weight',
    ],
  ],
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
      'postern.yaml:5:24 passdb.tls_ca_file: DIR/postern.yaml contains no certificate: name a file of PEM certificates (-----BEGIN CERTIFICATE-----)',
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

  test('an unknown key without a value, of a source and of a webmail', async (t) => {
    const yaml = `public_url: http://127.0.0.1:8080
directory: { sources: [{ type: static, backend: a, domain: }] }
backends: { a: { imap: imaps://mx1.test, webmail: http://mx1.test/, driver: roundcube, roundcube: { entry_kye: } } }
`;
    const told = await problemsOf(t, { 'postern.yaml': yaml }, { checksDrivers: true });
    assert.deepEqual(told, [
      'postern.yaml:2:52 directory.sources[0].domain: is not a known key: did you mean domains?',
      'postern.yaml:3:101 backends.a.roundcube.entry_kye: is not a known key: did you mean entry_key?',
    ]);
  });
});
