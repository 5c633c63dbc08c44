import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { createCertificate } from '../../demo/certificate.ts';
import { load, problemsOf, smallest } from './config.fixture.ts';

test('the audit lies beside the other state, and is copied nowhere, unless that is said', async (t) => {
  const { audit, file } = await load(t, { 'postern.yaml': smallest() });
  assert.deepEqual(audit, { file: join(file, '..', 'state/audit.jsonl') });
});

test('a syslog server is a URL, or a map with the authority of its certificate', async (t) => {
  const short = await load(t, { 'postern.yaml': smallest('audit: { syslog: tcp://siem.internal }') });
  assert.deepEqual(short.audit.syslog, { host: 'siem.internal', port: 601 });
  const { certificate } = createCertificate(['siem.internal'], Date.now());
  const long = await load(t, {
    'postern.yaml': smallest('audit: { syslog: { url: tls://siem.internal, tls_ca_file: ca.crt } }'),
    'ca.crt': certificate,
  });
  assert.deepEqual(long.audit.syslog, { host: 'siem.internal', port: 6514, tls: { ca: certificate } });
});

test('what is no syslog server is refused, with what to write', async (t) => {
  const problems = await problemsOf(t, { 'postern.yaml': smallest('audit: { syslog: { url: udp://siem.internal } }') });
  assert.match(JSON.stringify(problems), /not the URL of a syslog server: write tls:\/\/HOST:6514/);
});
