import { randomBytes } from 'node:crypto';
import { Secret as TotpKey, TOTP } from 'otpauth';
import { createStateReplica, type StateReplica } from '../../src/backends/state-replica.ts';
import { silentLog } from '../../src/core/log.ts';
import type { StateStore } from '../../src/core/state-store.ts';
import { createServerKey } from '../../src/sessions/key-derivation.ts';
import { createVault, parseEnrolment, type VaultKeys } from '../../src/support/enrolment.ts';
import { createSecondFactors, type SecondFactors } from '../../src/support/second-factor.ts';

/** A node with second factors and the test's clock. */
export interface FactorNode extends AsyncDisposable {
  readonly factors: SecondFactors;
  readonly replica: StateReplica;
  /** The errors of the log. */
  readonly alarms: readonly string[];
}

export const serverKeys: VaultKeys = ringOf(createServerKey('0a0a0a0a', randomBytes(32)));

export function ringOf(...keys: readonly ReturnType<typeof createServerKey>[]): VaultKeys {
  const [promoted] = keys;
  if (promoted === undefined) throw new Error('a ring has a key');
  return { promoted, find: (id) => keys.find((key) => key.id === id) };
}

export async function startFactorNode(
  store: StateStore,
  clock: { nowMs(): number },
  keys: () => VaultKeys = () => serverKeys,
): Promise<FactorNode> {
  const replica = createStateReplica({ store, log: silentLog, pollMs: 60_000 });
  const enrolments = replica.table('staff', parseEnrolment);
  await replica.open();
  const vault = createVault(keys, randomBytes);
  const alarms: string[] = [];
  const log = { ...silentLog, error: (event: string) => void alarms.push(event) };
  const factors = createSecondFactors({ enrolments, vault, clock, randomBytes, log });
  return { factors, replica, alarms, [Symbol.asyncDispose]: () => replica[Symbol.asyncDispose]() };
}

/** The current code of an authenticator app, from the key as a person types it. */
export function codeOf(key: string, atMs: number): string {
  return TOTP.generate({ secret: TotpKey.fromBase32(key), timestamp: atMs });
}

/** Enrols a user. Resolves with the key in the app and the recovery codes. */
export async function enrol(factors: SecondFactors, user: string, nowMs: number) {
  const invited = await factors.invite(user);
  if (invited === undefined) throw new Error(`${user} has a second factor already`);
  await factors.accept(user, 'session-1', invited.code.reveal());
  const key = factors.offered(user, 'session-1')?.reveal();
  if (key === undefined) throw new Error('no key is on offer');
  const confirmed = await factors.confirm(user, 'session-1', codeOf(key, nowMs));
  if (confirmed.kind !== 'right') throw new Error(`the first code was ${confirmed.kind}`);
  return { key, recovery: confirmed.recovery };
}
