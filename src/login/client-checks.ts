import { createHmac, createSecretKey } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import type { PasswordCheck } from '../core/passdb.ts';
import type { Secret } from '../core/secret.ts';
import { clientNetwork } from './client-network.ts';

/** A password as a client sent it, for a user whose home is known; `backend` is empty for an unknown one. */
export interface ClientCheck {
  /** The canonical user, or the normalised name of an unknown one. */
  readonly user: string;
  readonly backend: string;
  readonly address: string;
  readonly password: Secret;
}

/** Remembers what came of passwords for a minute: clients that authenticate on every request send many. */
export interface ClientChecks {
  /**
   * What is remembered of the check, or what `ask` finds out; those who ask for the same at the same time share one.
   * When `ask` rejects, all of them do, and nothing is remembered.
   */
  verdict(check: ClientCheck, ask: () => Promise<PasswordCheck['kind']>): Promise<PasswordCheck['kind']>;
  forget(check: ClientCheck): void;
}

export interface ClientChecksDeps {
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Buffer;
}

const rememberedMs = 60_000;
const maxRemembered = 20_000;

/**
 * Remembers verdicts as keyed hashes under a key that only this process has. They hold for one user, backend, client
 * network and password, and do not outlive their minute by being used: a changed password is met within that time.
 */
export function createClientChecks({ clock, randomBytes }: ClientChecksDeps): ClientChecks {
  const key = createSecretKey(randomBytes(32));
  // Apart, so that guesses cannot push out what is right.
  const right = createMemory(clock);
  const others = createMemory(clock);
  const inFlight = new Map<string, Promise<PasswordCheck['kind']>>();

  function hashOf({ user, backend, address, password }: ClientCheck): string {
    const parts = JSON.stringify([user, backend, clientNetwork(address), password.reveal()]);
    return createHmac('sha256', key).update(parts).digest('base64url');
  }

  async function find(hash: string, ask: () => Promise<PasswordCheck['kind']>): Promise<PasswordCheck['kind']> {
    try {
      const verdict = await ask();
      (verdict === 'right' ? right : others).put(hash, verdict);
      return verdict;
    } finally {
      inFlight.delete(hash);
    }
  }

  return {
    verdict(check, ask) {
      const hash = hashOf(check);
      const known = right.get(hash) ?? others.get(hash);
      if (known !== undefined) return Promise.resolve(known);
      const running = inFlight.get(hash) ?? find(hash, ask);
      inFlight.set(hash, running);
      return running;
    },
    forget: (check) => right.drop(hashOf(check)),
  };
}

interface Remembered {
  readonly verdict: PasswordCheck['kind'];
  readonly atMs: number;
}

/** Bounded; the oldest goes first. */
function createMemory(clock: Clock) {
  const entries = new Map<string, Remembered>();
  return {
    get(hash: string): PasswordCheck['kind'] | undefined {
      const found = entries.get(hash);
      if (found === undefined) return undefined;
      if (clock.nowMs() - found.atMs < rememberedMs) return found.verdict;
      entries.delete(hash);
      return undefined;
    },
    put(hash: string, verdict: PasswordCheck['kind']): void {
      entries.delete(hash);
      entries.set(hash, { verdict, atMs: clock.nowMs() });
      const [oldest] = entries.keys();
      if (entries.size > maxRemembered && oldest !== undefined) entries.delete(oldest);
    },
    drop: (hash: string): void => void entries.delete(hash),
  };
}
