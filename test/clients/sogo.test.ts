import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import { withLab } from '../lab/lab.ts';
import { type RecordingBackend, startRecordingBackend } from '../proxy/gate.fixture.ts';
import { DavClient } from './dav-client.fixture.ts';
import { type DavGateway, startDavGateway } from './dav-gateway.fixture.ts';

const lab = await withLab('a', 'c');
const home = '/SOGo/dav/carol@example.test';

function eventNamed(uid: string, summary: string): string {
  const lines = [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//Postern//test//EN',
    'BEGIN:VEVENT',
    `UID:${uid}`,
    'DTSTAMP:20261122T090000Z',
    'DTSTART:20261201T090000Z',
    'DTEND:20261201T100000Z',
    `SUMMARY:${summary}`,
    'END:VEVENT',
    'END:VCALENDAR',
    '',
  ];
  return lines.join('\r\n');
}

const calendarQuery = `<?xml version="1.0"?>
<C:calendar-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><D:getetag/><C:calendar-data/></D:prop>
<C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT"/></C:comp-filter></C:filter></C:calendar-query>`;

const principalQuery = `<?xml version="1.0"?>
<D:propfind xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><D:current-user-principal/>
<C:calendar-home-set/></D:prop></D:propfind>`;

suite('calendars and address books in SOGo through the gateway', { concurrency: false }, () => {
  const opened = new AsyncDisposableStack();
  let gateway: DavGateway;
  let otherWebmail: RecordingBackend;
  before(async () => {
    otherWebmail = opened.use(await startRecordingBackend((_request, response) => response.end('the other backend')));
    gateway = opened.use(await startDavGateway({ lab, otherWebmail: `http://127.0.0.1:${otherWebmail.port}` }));
  });
  after(() => opened.disposeAsync());

  const carol = () => new DavClient(gateway.origin, 1, { user: 'carol', password: 'carol-pw' });

  test('a client without credentials is asked for them, in one realm for all backends', async () => {
    for (const target of [`${home}/`, '/SOGo/dav/', '/.well-known/caldav', '/.well-known/carddav']) {
      const answer = await new DavClient(gateway.origin, 2).ask('PROPFIND', target, { depth: '0' });
      assert.equal(answer.status, 401);
      assert.equal(answer.headers['www-authenticate'], 'Basic realm="Webmail", charset="UTF-8"');
      assert.equal(answer.headers.location, undefined);
    }
  });

  test('OPTIONS tells of calendars and address books, and of the methods', async () => {
    const answer = await carol().ask('OPTIONS', `${home}/`);
    assert.equal(answer.status, 200);
    assert.match(String(answer.headers['dav']), /calendar-access/);
    assert.match(answer.headers.allow ?? '', /REPORT, PROPFIND/);
  });

  test('the principal and the home are found by whoever knows only the server', async () => {
    const answer = await carol().ask('PROPFIND', '/SOGo/dav/', { depth: '0', body: principalQuery });
    assert.equal(answer.status, 207);
    assert.match(answer.body, /\/SOGo\/dav\/carol@example\.test\//);
    assert.ok(!answer.body.includes('127.0.0.13'));
  });

  test('an event is put, listed, reported, read, refused to a stale change, and deleted', async () => {
    const client = carol();
    const uid = `postern-${randomUUID()}`;
    const target = `${home}/Calendar/personal/${uid}.ics`;
    const put = await client.ask('PUT', target, { type: 'text/calendar', body: eventNamed(uid, 'Grüße €') });
    assert.equal(put.status, 201);
    try {
      const list = await client.ask('PROPFIND', `${home}/Calendar/personal/`, { depth: '1' });
      assert.equal(list.status, 207);
      assert.ok(list.body.includes(`${uid}.ics`));
      const report = await client.ask('REPORT', `${home}/Calendar/personal/`, { depth: '1', body: calendarQuery });
      assert.equal(report.status, 207);
      assert.ok(report.body.includes(`UID:${uid}`));
      const read = await client.ask('GET', target);
      assert.match(read.body, /SUMMARY:Grüße €/);
      const body = eventNamed(uid, 'changed');
      const stale = await client.ask('PUT', target, { type: 'text/calendar', body, headers: { 'if-match': '"gcs9"' } });
      assert.equal(stale.status, 412);
    } finally {
      const gone = await client.ask('DELETE', target);
      assert.equal(gone.status, 204);
    }
    assert.equal((await client.ask('GET', target)).status, 404);
  });

  test('a contact is put, found by REPORT, and deleted', async () => {
    const client = carol();
    const uid = `postern-${randomUUID()}`;
    const target = `${home}/Contacts/personal/${uid}.vcf`;
    const card = `BEGIN:VCARD\r\nVERSION:3.0\r\nUID:${uid}\r\nFN:Bob Größe\r\nN:Größe;Bob;;;\r\nEMAIL:bob@example.test\r\nEND:VCARD\r\n`;
    assert.equal((await client.ask('PUT', target, { type: 'text/vcard', body: card })).status, 201);
    try {
      const query = `<?xml version="1.0"?><C:addressbook-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:carddav">
<D:prop><D:getetag/><C:address-data/></D:prop><C:filter><C:prop-filter name="mail"><C:text-match>bob@</C:text-match></C:prop-filter></C:filter></C:addressbook-query>`;
      const report = await client.ask('REPORT', `${home}/Contacts/personal/`, { depth: '1', body: query });
      assert.equal(report.status, 207);
      assert.ok(report.body.includes(uid));
    } finally {
      assert.equal((await client.ask('DELETE', target)).status, 204);
    }
  });

  test('another user, whose mailbox lives on another server, lands there', async () => {
    const alice = new DavClient(gateway.origin, 3, { user: 'alice@example.test', password: 'alice-pw' });
    const answer = await alice.ask('PROPFIND', '/SOGo/dav/alice@example.test/', { depth: '0', body: '<x/>' });
    assert.equal(answer.body, 'the other backend');
    const seen = otherWebmail.seen.at(-1);
    assert.deepEqual([seen?.method, seen?.target, seen?.body], ['PROPFIND', '/SOGo/dav/alice@example.test/', '<x/>']);
    const before = otherWebmail.seen.length;
    assert.equal((await carol().ask('PROPFIND', `${home}/`, { depth: '0' })).status, 207);
    assert.equal(otherWebmail.seen.length, before);
  });

  test('nobody reads another’s calendar, and what belongs to the webmail is not reached this way', async () => {
    const clara = new DavClient(gateway.origin, 4, { user: 'clara@example.test', password: 'clara-pw' });
    const foreign = await clara.ask('PROPFIND', `${home}/Calendar/personal/`, { depth: '1' });
    assert.ok(foreign.status >= 400, String(foreign.status));
    const page = await carol().ask('GET', '/SOGo/so/carol@example.test/Mail/view');
    assert.equal(page.status, 401);
    // No program is asked for a password there.
    assert.equal(page.headers['www-authenticate'], 'Cookie realm="sign-in", form-action="/-/login"');
  });

  test('a wrong password and an unknown user are asked again alike, and the mail server is asked once', async () => {
    const wrong = new DavClient(gateway.origin, 5, { user: 'carol', password: 'wrong' });
    const unknown = new DavClient(gateway.origin, 6, { user: 'nobody', password: 'wrong' });
    for (let i = 0; i < 3; i += 1) {
      const [first, second] = await Promise.all([wrong.ask('OPTIONS', home), unknown.ask('OPTIONS', home)]);
      assert.equal(first.status, 401);
      assert.deepEqual(
        [first.body, first.headers['www-authenticate']],
        [second.body, second.headers['www-authenticate']],
      );
    }
    assert.match(await gateway.metrics(), /postern_client_checks_total\{result="wrong",backend="c"\} 1\n/);
  });

  test('the mail server was asked once for all that carol did in this minute', async () => {
    assert.match(await gateway.metrics(), /postern_client_checks_total\{result="right",backend="c"\} [12]\n/);
  });
});
