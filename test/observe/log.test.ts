import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Secret } from '../../src/core/secret.ts';
import { createLog } from '../../src/observe/log.ts';

function lines(write: (log: ReturnType<typeof createLog>) => void): Record<string, unknown>[] {
  const written: string[] = [];
  write(createLog({ level: 'info', destination: { write: (line: string) => void written.push(line) } }));
  return written.map((line) => JSON.parse(line));
}

describe('the log', () => {
  it('writes one JSON line per event, with a level in words and a time that sorts', () => {
    const [line] = lines((log) => log.info({ event: 'login', user: 'alice@example.test' }, 'login'));
    assert.equal(line?.['level'], 'info');
    assert.equal(line?.['user'], 'alice@example.test');
    assert.match(String(line?.['time']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  it('keeps a line a line, whatever a client put into a field', () => {
    const [line] = lines((log) => log.info({ name: 'a\n{"level":"info","msg":"forged"}\r\n\u001b[2J' }, 'login'));
    assert.equal(line?.['name'], 'a\n{"level":"info","msg":"forged"}\r\n\u001b[2J');
  });

  it('prints neither a wrapped secret nor a field that is named like one', () => {
    const [line] = lines((log) =>
      log.info(
        {
          a: new Secret('hunter2'),
          password: 'hunter2',
          request: { cookie: 'hunter2', headers: { authorization: 'hunter2' } },
        },
        'x',
      ),
    );
    assert.doesNotMatch(JSON.stringify(line), /hunter2/);
  });

  it('leaves out what is below its level', () => {
    assert.deepEqual(
      lines((log) => log.debug({}, 'detail')),
      [],
    );
  });
});
