import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { it } from 'node:test';
import { stateTables } from '../../src/core/state-store.ts';
import { eventually } from '../eventually.fixture.ts';
import { startRunning } from './running.fixture.ts';

/** Keys that cannot be the name of a user, a backend or a session. */
const keys = ['', 'a b', 'a\u0007', '\u202e', 'x'.repeat(10_000), '__proto__'];

/** With support, a node also reads the tables of staff and of opened mailboxes. */
const support = `
support:
  console: http://support.localhost:1
  assist: http://assist.localhost:1
  staff: { bob@example.test: support }
`;

for (const [what, more] of [
  ['', ''],
  [' with support', support],
])
  it(`a node${what} goes on after entries that no node wrote, or removed, of any table and key`, async () => {
    await using running = await startRunning((yaml) => yaml + more);
    const state = new DatabaseSync(join(dirname(running.configFile), 'state', 'postern.sqlite'));
    const write = state.prepare(
      'INSERT OR REPLACE INTO state VALUES (?, ?, ?, (SELECT coalesce(max(version), 0) + 1 FROM state))',
    );
    for (const table of stateTables) {
      for (const key of keys) write.run(table, key, null);
      for (const key of keys) write.run(table, `${key} forged`, 'forged');
    }
    const alarms = () => running.logged.filter(({ event }) => event === 'state-entries-forged').length;
    // Nobody reads `probe`, which only shows that the store takes writes.
    await eventually(() => alarms() === stateTables.length - 1, 'an alarm for each table');
    // The gateway still hears of later changes.
    write.run('homes', 'a b', 'forged');
    state.close();
    const { landed } = await running.signIn('alice', 'wonderland');
    assert.equal(landed.status, 200);
  });
