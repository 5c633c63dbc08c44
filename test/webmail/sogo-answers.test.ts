import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { lostAnswer, retryAnswer } from '../../src/webmail/sogo.ts';
import { requestHead } from './scripted-exchange.fixture.ts';

suite('without a session', () => {
  const script = { accept: 'application/json, text/plain, */*' };

  test('SOGo’s script gets a failure that it shows, and stays where it is', () => {
    const target = '/SOGo/so/alice@example.test/Mail/0/folderDrafts/newDraft1-1/save';
    const answer = lostAnswer(requestHead('POST', target, script), '/-/login?ended=idle');
    assert.equal(answer?.status, 401);
    const { message } = JSON.parse(answer?.body ?? '') as { message: string };
    assert.match(message, /^Your session has ended\. What you have written is still here/);
    assert.match(message, /<a href="\/-\/login\?ended=idle" target="_blank"/);
  });

  test('the editor, which shows plain text, gets no link', () => {
    const target = '/SOGo/so/alice@example.test/Mail/0/folderDrafts/newDraft1-1/send';
    const german = { ...script, 'accept-language': 'de-DE,de;q=0.9' };
    const answer = lostAnswer(requestHead('POST', target, german), '/-/login');
    assert.deepEqual(JSON.parse(answer?.body ?? ''), {
      message:
        'Ihre Sitzung ist beendet. Was Sie geschrieben haben, ist noch da: Melden Sie sich in einem neuen Tab an und wiederholen Sie dann.',
    });
  });

  test('a request that cannot be repeated is said again by the user, in the webmail’s own way', () => {
    const answer = retryAnswer(requestHead('POST', '/SOGo/so/a/Mail/0/x/send', script));
    assert.equal(answer?.status, 409);
    assert.match(answer?.body ?? '', /Nothing was done/);
  });

  test('pages, DAV clients and other webmails’ scripts are nobody of SOGo’s', () => {
    for (const request of [
      requestHead('GET', '/SOGo/so/a/Mail/view', { accept: 'text/html,*/*' }),
      requestHead('REPORT', '/SOGo/dav/a/Calendar/', script),
      requestHead('GET', '/?_task=mail', script),
      requestHead('GET', '/SOGo/so/a/Mail/view'),
    ]) {
      assert.equal(lostAnswer(request, '/-/login'), undefined);
      assert.equal(retryAnswer(request), undefined);
    }
  });
});
