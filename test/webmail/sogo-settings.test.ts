import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Secret } from '../../src/core/secrets.ts';
import { parseSettings } from '../../src/schema/issues.ts';
import { create, settings as schema } from '../../src/webmail/sogo.ts';
import { clock, responseOf, scriptedExchange } from './scripted-exchange.fixture.ts';

const secret = new Secret('the-secret-of-the-gateway');

const bad: readonly (readonly [name: string, settings: Readonly<Record<string, unknown>>, problem: string])[] = [
  ['an unknown mode', { mode: 'header' }, 'mode "header" is not known here'],
  ['trusted without a secret', { mode: 'trusted' }, 'secret is missing'],
  ['a plain secret', { mode: 'trusted', secret: 'x'.repeat(20) }, 'secret is not a secret'],
  ['a short secret', { mode: 'trusted', secret: new Secret('short') }, 'secret must be 16'],
  ['a plain password', { mode: 'trusted', secret, imap_password: 'x' }, 'imap_password is not a secret'],
  ['a secret that nobody reads', { secret }, 'secret is used in mode trusted only'],
  ['a slip', { modes: 'trusted' }, 'modes is not a known key: did you mean mode?'],
  ['a key of elsewhere', { modus: 'trusted' }, 'modus is not a valid key here: use mode, secret or imap_password'],
];
for (const [name, settings, problem] of bad) {
  test(`settings: ${name} is a problem`, () => {
    const parsed = parseSettings(schema, settings);
    assert.ok(parsed.kind === 'problems');
    assert.ok(parsed.problems.some(({ path, message }) => `${path.join('.')} ${message}`.startsWith(problem)));
    const exchange = scriptedExchange(() => responseOf(200));
    assert.throws(() => create({ exchange, clock, settings }), TypeError);
  });
}
