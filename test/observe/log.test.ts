import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PosternError } from '../../src/core/error.ts';
import { Secret } from '../../src/core/secrets.ts';
import { createLog } from '../../src/observe/log.ts';

function lines(write: (log: ReturnType<typeof createLog>) => void): Record<string, unknown>[] {
  const written: string[] = [];
  write(createLog({ level: 'info', destination: { write: (line: string) => void written.push(line) } }));
  return written.map((line) => JSON.parse(line));
}

describe('the log', () => {
  it('writes one JSON line per event, with a level in words and a time that sorts', () => {
    const [line] = lines((log) => log.info('login', { user: 'alice@example.test' }));
    assert.equal(line?.['level'], 'info');
    assert.equal(line?.['event'], 'login');
    assert.equal(line?.['msg'], 'login');
    assert.equal(line?.['user'], 'alice@example.test');
    assert.match(String(line?.['time']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  it('keeps a line a line, whatever a client put into a field', () => {
    const [line] = lines((log) => log.info('login', { user: 'a\n{"level":"info","msg":"forged"}\r\n\u001b[2J' }));
    assert.equal(line?.['user'], 'a\n{"level":"info","msg":"forged"}\r\n\u001b[2J');
  });

  it('prints neither a wrapped secret nor a field that is named like one', () => {
    const [line] = lines((log) =>
      log.info('audit', {
        audited: {
          a: new Secret('hunter2'),
          password: 'hunter2',
          request: { cookie: 'hunter2', authorization: 'hunter2' },
        },
      }),
    );
    assert.doesNotMatch(JSON.stringify(line), /hunter2/);
  });

  it('leaves out what is below its level', () => {
    assert.deepEqual(
      lines((log) => log.debug('penalty-stored', {})),
      [],
    );
  });

  it('prints of an error what this program and the system said, and nothing that a server sent', () => {
    const marker = 'Set-Cookie: id=MARKER';
    class HTTPParserError extends Error {
      readonly code = 'HPE_INVALID_HEADER_TOKEN';
      readonly data = `HTTP/1.1 200 OK\r\n${marker}`;
    }
    const imap = Object.assign(new Error('Command failed'), { response: marker, executedCommand: marker });
    const foreign = new SyntaxError(`Unexpected token in ${marker}`);
    foreign.stack = `SyntaxError: ${foreign.message}\n    at JSON.parse (<anonymous>)\n    at parse (/srv/node_modules/x.js:1:1)`;
    const own = new PosternError('ERR_WEBMAIL_UNAVAILABLE', 'the webmail of a could not be asked', {
      source: 'webmail',
      retryable: true,
      cause: new HTTPParserError('Response does not match the HTTP/1.1 protocol (Invalid header value char)'),
    });
    const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), {
      code: 'ECONNREFUSED',
      syscall: 'connect',
      address: '127.0.0.1',
      port: 1,
    });
    const written = lines((log) => {
      for (const err of [own, imap, foreign, refused]) log.warn('state-store-down', { err });
      log.warn('host-down', { why: new HTTPParserError('x'), host: [] });
    });
    assert.doesNotMatch(JSON.stringify(written), /MARKER/);
    const [first, , third, fourth] = written.map(({ err }) => err);
    assert.equal(Reflect.get(Object(first), 'message'), 'the webmail of a could not be asked');
    const cause = Reflect.get(Object(first), 'cause');
    assert.equal(cause.code, 'HPE_INVALID_HEADER_TOKEN');
    assert.match(cause.message, /Invalid header value char/);
    assert.equal(Reflect.get(Object(third), 'message'), undefined);
    assert.deepEqual(
      ['message', 'code', 'syscall', 'address', 'port'].map((name) => Reflect.get(Object(fourth), name)),
      ['connect ECONNREFUSED 127.0.0.1:1', 'ECONNREFUSED', 'connect', '127.0.0.1', 1],
    );
  });
});
