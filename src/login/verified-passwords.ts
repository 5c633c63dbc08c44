import { createHmac, createSecretKey } from 'node:crypto';
import { BoundedMap } from '../core/bounded-map.ts';
import type { Clock } from '../core/clock.ts';
import type { PasswordCheck } from '../core/passdb.ts';
import type { Secret } from '../core/secrets.ts';
import { clientNetwork } from '../core/ip-networks.ts';

/** A password as a client sent it. `backend` is empty if the user's home is not known. */
export interface VerifiedPassword {
  /** The canonical user, or the normalised name of an unknown one. */
  readonly user: string;
  readonly backend: string;
  readonly address: string;
  readonly password: Secret;
}

/** Remembers verdicts on passwords for a minute: clients that authenticate on every request send many. */
export interface VerifiedPasswords {
  /**
   * The remembered verdict, or the one that `ask` finds; concurrent callers share it. If `ask` rejects, all of them
   * reject and no verdict is remembered. Its signal is aborted when all callers are gone. A caller that is gone rejects
   * with the reason of `gone`.
   */
  verdict(check: VerifiedPassword, gone: AbortSignal, ask: Ask): Promise<PasswordCheck['kind']>;
  forget(check: VerifiedPassword): void;
  /** Forgets the right passwords of these users. */
  forgetUsers(which: (user: string) => boolean): void;
}

type Ask = (allGone: AbortSignal) => Promise<PasswordCheck['kind']>;

/** A check that several callers wait for. */
interface Flight {
  readonly answer: Promise<PasswordCheck['kind']>;
  readonly allGone: AbortController;
  waiting: number;
}

interface VerifiedPasswordsDeps {
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Buffer;
}

const rememberedMs = 60_000;
const rememberedVerdicts = 20_000;

/**
 * Remembers verdicts as keyed hashes under a key of this process. They hold for one user, backend, client network and
 * password. Use does not prolong them: a changed password takes effect within a minute.
 */
export function createVerifiedPasswords({ clock, randomBytes }: VerifiedPasswordsDeps): VerifiedPasswords {
  const key = createSecretKey(randomBytes(32));
  // Kept apart, so that guesses cannot evict right passwords.
  const right = createMemory(clock);
  const others = createMemory(clock);
  const inFlight = new Map<string, Flight>();

  function hashOf({ user, backend, address, password }: VerifiedPassword): string {
    const parts = JSON.stringify([user, backend, clientNetwork(address), password.reveal()]);
    return createHmac('sha256', key).update(parts).digest('base64url');
  }

  async function find(hash: string, user: string, allGone: AbortController, ask: Ask): Promise<PasswordCheck['kind']> {
    const verdict = await ask(allGone.signal);
    (verdict === 'right' ? right : others).put(hash, { verdict, user });
    return verdict;
  }

  function launch(hash: string, user: string, ask: Ask): Flight {
    const allGone = new AbortController();
    const flight: Flight = { answer: find(hash, user, allGone, ask), allGone, waiting: 0 };
    const land = (): void => {
      if (inFlight.get(hash) === flight) inFlight.delete(hash);
    };
    flight.answer.then(land, land);
    inFlight.set(hash, flight);
    return flight;
  }

  async function board(hash: string, gone: AbortSignal, flight: Flight): Promise<PasswordCheck['kind']> {
    const left = Promise.withResolvers<never>();
    const leave = (): void => left.reject(gone.reason);
    gone.addEventListener('abort', leave, { once: true });
    flight.waiting += 1;
    try {
      return await Promise.race([flight.answer, left.promise]);
    } finally {
      gone.removeEventListener('abort', leave);
      flight.waiting -= 1;
      if (flight.waiting === 0) {
        // The next caller begins a new check.
        if (inFlight.get(hash) === flight) inFlight.delete(hash);
        flight.allGone.abort(gone.reason);
      }
    }
  }

  return {
    async verdict(check, gone, ask) {
      gone.throwIfAborted();
      const hash = hashOf(check);
      return (
        right.get(hash) ?? others.get(hash) ?? board(hash, gone, inFlight.get(hash) ?? launch(hash, check.user, ask))
      );
    },
    forget: (check) => right.drop(hashOf(check)),
    forgetUsers: (which) => right.dropOf(which),
  };
}

interface Remembered {
  readonly verdict: PasswordCheck['kind'];
  readonly user: string;
  readonly atMs: number;
}

/** A bounded memory of verdicts; the oldest is evicted first. */
function createMemory(clock: Clock) {
  const entries = new BoundedMap<string, Remembered>(rememberedVerdicts);
  return {
    get(hash: string): PasswordCheck['kind'] | undefined {
      const found = entries.get(hash);
      if (found === undefined) return undefined;
      if (clock.nowMs() - found.atMs < rememberedMs) return found.verdict;
      entries.delete(hash);
      return undefined;
    },
    put(hash: string, remembered: Omit<Remembered, 'atMs'>): void {
      entries.set(hash, { ...remembered, atMs: clock.nowMs() });
    },
    drop: (hash: string): void => void entries.delete(hash),
    dropOf(which: (user: string) => boolean): void {
      for (const [hash, { user }] of Array.from(entries)) if (which(user)) entries.delete(hash);
    },
  };
}
