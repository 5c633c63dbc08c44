import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import {
  parseImapUrl,
  parsePublicUrl,
  parseRedisUrl,
  parseSyslogUrl,
  parseWebmailUrl,
  urlOrigin,
} from '../../src/schema/value-parsers.ts';

describe('IMAP URLs', () => {
  const good: readonly (readonly [text: string, value: object])[] = [
    ['imaps://mx1', { hostname: 'mx1', port: undefined, security: 'tls' }],
    ['IMAPS://MX1.Test/', { hostname: 'mx1.test', port: undefined, security: 'tls' }],
    ['imap://[2001:db8::11]:1143', { hostname: '2001:db8::11', port: 1143, security: 'starttls' }],
  ];
  for (const [text, value] of good) test(text, () => assert.deepEqual(parseImapUrl(text), { kind: 'ok', value }));
  for (const text of [
    '',
    'mx1',
    'imap:mx1',
    'pop3://mx1',
    'imaps://',
    'imaps://mx1/INBOX',
    'imaps://mx1:0',
    'imaps://mx1:99999',
  ]) {
    test(`${JSON.stringify(text)} is refused`, () => assert.equal(parseImapUrl(text).kind, 'wrong'));
  }
});

describe('webmail URLs', () => {
  const good: readonly (readonly [text: string, value: object])[] = [
    ['http://mx1', { scheme: 'http', host: 'mx1', port: undefined, landing: '/' }],
    ['https://mx1:8443/mail/?a=b', { scheme: 'https', host: 'mx1', port: 8443, landing: '/mail/?a=b' }],
    // The port of the scheme is named all the same: a default port must not replace it.
    ['http://mx1:80/', { scheme: 'http', host: 'mx1', port: 80, landing: '/' }],
    ['http://[::1]:81/SOGo/', { scheme: 'http', host: '[::1]', port: 81, landing: '/SOGo/' }],
  ];
  for (const [text, value] of good) test(text, () => assert.deepEqual(parseWebmailUrl(text), { kind: 'ok', value }));
  const bad = [
    '',
    'mx1',
    'ftp://mx1/',
    'http://mx1/#inbox',
    'http://mx1\\@evil/',
    'http:/mx1/',
    'http://mx1/-/x',
    'http://mx1/a b',
    'http://mx1:0/',
  ];
  for (const text of bad) {
    test(`${JSON.stringify(text)} is refused`, () => assert.equal(parseWebmailUrl(text).kind, 'wrong'));
  }
  test('an origin names the port only where it is not the scheme’s own', () => {
    assert.equal(urlOrigin('http', 'mx1', 80), 'http://mx1');
    assert.equal(urlOrigin('https', '2001:db8::1', 8443), 'https://[2001:db8::1]:8443');
  });
});

describe('public URLs', () => {
  test('a host in capitals and the scheme’s own port come out as a browser writes them', () => {
    const value = { origin: 'https://mail.example.org', authority: 'mail.example.org', secure: true };
    assert.deepEqual(parsePublicUrl('https://Mail.Example.org:443/'), { kind: 'ok', value });
  });
  test('another port stays', () => {
    const value = { origin: 'http://localhost:8080', authority: 'localhost:8080', secure: false };
    assert.deepEqual(parsePublicUrl('http://localhost:8080'), { kind: 'ok', value });
  });
  for (const text of [
    '',
    'mail.example.org',
    'https://mail.example.org/mail',
    'https://mail.example.org/?x',
    '//mail.example.org',
  ]) {
    test(`${JSON.stringify(text)} is refused`, () => assert.equal(parsePublicUrl(text).kind, 'wrong'));
  }
});

describe('Redis URLs', () => {
  for (const text of ['redis://127.0.0.1:6379/0', 'rediss://postern@redis.test', 'redis://[::1]:6379']) {
    test(`${text} is taken as it stands`, () => assert.deepEqual(parseRedisUrl(text), { kind: 'ok', value: text }));
  }
  for (const text of ['', 'redis', 'http://127.0.0.1', 'redis:///0', 'redis://h/name', 'redis://h/0?db=1']) {
    test(`${JSON.stringify(text)} is refused`, () => assert.equal(parseRedisUrl(text).kind, 'wrong'));
  }
});

describe('syslog URLs', () => {
  const good: readonly (readonly [text: string, value: object])[] = [
    ['tls://siem.internal', { host: 'siem.internal', port: 6514, isTls: true }],
    ['tcp://192.0.2.9/', { host: '192.0.2.9', port: 601, isTls: false }],
    ['TLS://[2001:db8::9]:514', { host: '2001:db8::9', port: 514, isTls: true }],
  ];
  for (const [text, value] of good) test(text, () => assert.deepEqual(parseSyslogUrl(text), { kind: 'ok', value }));
  for (const text of [
    '',
    'siem',
    'udp://siem',
    'tls://',
    'tls://siem:0',
    'tls://siem/x',
    'tls://siem?x',
    'https://siem',
  ]) {
    test(`${JSON.stringify(text)} is refused`, () => assert.equal(parseSyslogUrl(text).kind, 'wrong'));
  }
});

test('a password in a URL is refused and never repeated', () => {
  const parsers = [parseImapUrl, parseWebmailUrl, parsePublicUrl, parseRedisUrl, parseSyslogUrl];
  for (const scheme of ['imaps', 'imap', 'http', 'https', 'redis', 'rediss', 'tls', 'tcp', 'ftp', '']) {
    for (const rest of ['mx1', 'mx1:bad', '']) {
      for (const parse of parsers) {
        const reading = parse(`${scheme}://user:hunter2@${rest}`);
        assert.equal(reading.kind, 'wrong');
        assert.doesNotMatch(JSON.stringify(reading), /hunter2/);
      }
    }
  }
});

test('no text makes a parser throw, and no line end gets through', () => {
  const parsers = [parseImapUrl, parseWebmailUrl, parsePublicUrl, parseRedisUrl, parseSyslogUrl];
  const hostile = fc.oneof(
    fc.string(),
    fc.webUrl({ withFragments: true, withQueryParameters: true }),
    fc
      .tuple(fc.constantFrom('imaps://', 'imap://', 'http://', 'https://', 'redis://', 'tls://'), fc.string())
      .map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(hostile, (text) => {
      for (const parse of parsers) {
        const reading = parse(text);
        if (reading.kind === 'ok') assert.doesNotMatch(JSON.stringify(reading.value), /\\[rnt]|\\u00/);
      }
    }),
    { numRuns: 1000 },
  );
});
