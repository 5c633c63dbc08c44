import { Secret as TotpKey, TOTP } from 'otpauth';
import { renderSVG } from 'uqr';
import type { Clock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import { defined } from '../core/objects.ts';
import { Secret } from '../core/secrets.ts';
import type { ReplicatedTable } from '../core/state-store.ts';
import { type Enrolment, type Factor, hashOfCode, isSameHash, makeCode, noEnrolment, type Vault } from './enrolment.ts';

interface SecondFactorsDeps {
  readonly enrolments: ReplicatedTable<Enrolment>;
  readonly vault: Vault;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Buffer;
  readonly log: Log;
}

/**
 * The result of a code. `used`: it is right, but each code is valid once only; `locked`: too many codes were wrong, and
 * none is checked until `untilMs`.
 */
type CodeCheck =
  | RightCode
  | { readonly kind: 'wrong' }
  | { readonly kind: 'used' }
  | { readonly kind: 'locked'; readonly untilMs: number };

interface RightCode {
  readonly kind: 'right';
  readonly by: 'app' | 'recovery';
  readonly recoveryLeft: number;
}

/** A refused code. */
type CodeRefusal = Exclude<CodeCheck, { kind: 'right' }>;

/** The state of a member of staff. `invited`: a one-time code is still valid. */
type EnrolmentState = 'none' | 'invited' | 'enrolled';

/**
 * The second factors of the staff: codes of an authenticator app (RFC 6238), and recovery codes. All nodes share them.
 * Each change is one write that fails if another node changed the entry, so that no code counts twice, even if it is
 * used on several nodes at once. Calls that change something reject if the state store cannot take it.
 */
export interface SecondFactors {
  stateOf(user: string): EnrolmentState;
  /** All users who have a second factor or an invitation. */
  all(): readonly { readonly user: string; readonly state: EnrolmentState; readonly sinceMs?: number }[];
  /**
   * A one-time code with which `user` may enrol. It replaces any earlier code. Undefined if the user already has a
   * second factor.
   */
  invite(user: string): Promise<{ readonly code: Secret; readonly untilMs: number } | undefined>;
  /** Checks the one-time code. If it is right, a new key is offered to this staff session, and to no other. */
  accept(user: string, session: string, code: string): Promise<{ readonly kind: 'right' } | CodeRefusal>;
  /** The key that is offered to this staff session; undefined if there is none, or after it was confirmed. */
  offered(user: string, session: string): Secret | undefined;
  /**
   * Checks the first code of the offered key, which then is the second factor. Only this returns the recovery codes.
   */
  confirm(
    user: string,
    session: string,
    code: string,
  ): Promise<{ readonly kind: 'right'; readonly recovery: readonly string[] } | CodeRefusal>;
  /** Checks a code of the app or a recovery code. */
  check(user: string, code: string): Promise<CodeCheck>;
  /** Removes the second factor or invitation of a user. False if there was none. */
  reset(user: string): Promise<boolean>;
}

const invitationMs = 24 * 60 * 60 * 1000;
const offerMs = 15 * 60 * 1000;
const recoveryCodes = 10;
/** The number of consecutive wrong codes before a lockout. Each lockout is longer, until a code is right. */
const failuresBeforeLockout = 5;
const minuteMs = 60 * 1000;
const lockoutsMs = [5 * minuteMs, 15 * minuteMs, 60 * minuteMs, 240 * minuteMs] as const;
/** The number of lockouts that raises an alarm: somebody has the password, and guesses. */
const lockoutsBeforeAlarm = 2;
/** The most attempts to write while other nodes write the same entry; more is no coincidence. */
const maxWriteAttempts = 10;

/** Creates the second factors of staff: enrolment, check, recovery codes, lockout. */
export function createSecondFactors(deps: SecondFactorsDeps): SecondFactors {
  return new TotpFactors(deps);
}

class TotpFactors implements SecondFactors {
  readonly #deps: SecondFactorsDeps;
  /** The enrolments as this node last wrote them. */
  readonly #left = new Map<string, Enrolment>();

  constructor(deps: SecondFactorsDeps) {
    this.#deps = deps;
  }

  stateOf(user: string): EnrolmentState {
    const { factor, invitation } = this.#deps.enrolments.get(user) ?? noEnrolment;
    if (factor !== undefined) return 'enrolled';
    return invitation !== undefined && this.#deps.clock.nowMs() < invitation.untilMs ? 'invited' : 'none';
  }

  all(): readonly { readonly user: string; readonly state: EnrolmentState; readonly sinceMs?: number }[] {
    return [...this.#deps.enrolments.all()].map(([user, { factor }]) => ({
      user,
      state: this.stateOf(user),
      ...defined({ sinceMs: factor?.sinceMs }),
    }));
  }

  async invite(user: string): Promise<{ readonly code: Secret; readonly untilMs: number } | undefined> {
    const code = makeCode(this.#deps.randomBytes);
    const untilMs = this.#deps.clock.nowMs() + invitationMs;
    const invited = await this.#settle(user, ({ factor, failures, lockedUntilMs, rests = 0 }) => {
      if (factor !== undefined) return { outcome: false };
      const invitation = { hash: hashOfCode(user, code), untilMs };
      return { after: { invitation, failures, lockedUntilMs, rests }, outcome: true };
    });
    return invited ? { code: new Secret(code), untilMs } : undefined;
  }

  async accept(user: string, session: string, code: string): Promise<{ readonly kind: 'right' } | CodeRefusal> {
    const sealedKey = this.#deps.vault.seal(makeTotpKey(this.#deps.randomBytes), user);
    return this.#settle(user, (before) =>
      this.#judged(before, () => {
        const { invitation, ...rest } = before;
        const counts = invitation !== undefined && this.#deps.clock.nowMs() < invitation.untilMs;
        if (!counts || !isSameHash(invitation.hash, hashOfCode(user, code))) return 'wrong';
        const offer = { sealedKey, session, untilMs: this.#deps.clock.nowMs() + offerMs };
        return { after: { ...rest, offer }, outcome: { kind: 'right' } };
      }),
    );
  }

  offered(user: string, session: string): Secret | undefined {
    return this.#offeredIn(this.#deps.enrolments.get(user) ?? noEnrolment, user, session);
  }

  async confirm(
    user: string,
    session: string,
    code: string,
  ): Promise<{ readonly kind: 'right'; readonly recovery: readonly string[] } | CodeRefusal> {
    const recovery = Array.from({ length: recoveryCodes }, () => makeCode(this.#deps.randomBytes));
    const hashes = recovery.map((one) => hashOfCode(user, one));
    return this.#settle(user, (before) =>
      this.#judged(before, () => {
        const key = this.#offeredIn(before, user, session);
        const lastStep = key && stepOfCode(key, code, this.#deps.clock.nowMs());
        if (key === undefined || lastStep === undefined) return 'wrong';
        const factor = {
          sealedKey: this.#deps.vault.seal(key, user),
          sinceMs: this.#deps.clock.nowMs(),
          lastStep,
          recovery: hashes,
        };
        return { after: { ...noEnrolment, factor }, outcome: { kind: 'right', recovery } };
      }),
    );
  }

  async check(user: string, code: string): Promise<CodeCheck> {
    return this.#settle(user, (before) =>
      this.#judged<RightCode>(before, () => {
        const { factor } = before;
        if (factor === undefined) return 'wrong';
        const typed = code.replace(/\s/g, '');
        return /^\d+$/.test(typed)
          ? this.#checkApp(before, factor, user, typed)
          : checkRecovery(before, factor, user, typed);
      }),
    );
  }

  async reset(user: string): Promise<boolean> {
    return (await this.#deps.enrolments.take(user)) !== undefined;
  }

  /** Decides on the newest enrolment, and again if another node changed it meanwhile. Writes only a change. */
  async #settle<T>(
    user: string,
    decide: (before: Enrolment) => { readonly after?: Enrolment; readonly outcome: T },
  ): Promise<T> {
    for (let attempt = 0; attempt < maxWriteAttempts; attempt += 1) {
      let decided: ReturnType<typeof decide> | undefined;
      const written = await this.#deps.enrolments.change(user, (before = noEnrolment) => {
        decided = decide(notOlder(before, this.#left.get(user)));
        return decided.after;
      });
      if (written === 'conflict' || decided === undefined) continue;
      if (decided.after?.factor !== undefined) this.#left.set(user, decided.after);
      this.#logGuessing(user, decided.after);
      return decided.outcome;
    }
    const message = 'the second factor of a member of staff was changed again and again at once';
    throw new PosternError('ERR_STORE_UNAVAILABLE', message, { source: 'store', retryable: true });
  }

  #logGuessing(user: string, after: Enrolment | undefined): void {
    const rests = after?.rests ?? 0;
    const restsNow = after !== undefined && after.failures === 0 && after.lockedUntilMs > this.#deps.clock.nowMs();
    if (!restsNow || rests < lockoutsBeforeAlarm) return;
    const untilMs = after.lockedUntilMs;
    this.#deps.log.error('second-factor-guessed', { user, rests, untilMs });
  }

  /** The part that all kinds of code share: the count of wrong codes, and the lockout. */
  #judged<T extends { readonly kind: 'right' }>(
    before: Enrolment,
    judge: () => { readonly after: Enrolment; readonly outcome: T } | 'wrong' | 'used',
  ): { readonly after?: Enrolment; readonly outcome: T | CodeRefusal } {
    const nowMs = this.#deps.clock.nowMs();
    if (nowMs < before.lockedUntilMs) return { outcome: { kind: 'locked', untilMs: before.lockedUntilMs } };
    const verdict = judge();
    if (verdict === 'used') return { outcome: { kind: 'used' } };
    if (verdict !== 'wrong')
      return { ...verdict, after: { ...verdict.after, failures: 0, lockedUntilMs: 0, rests: 0 } };
    const failures = before.failures + 1;
    if (failures < failuresBeforeLockout) return { after: { ...before, failures }, outcome: { kind: 'wrong' } };
    const rests = (before.rests ?? 0) + 1;
    const untilMs = nowMs + (lockoutsMs[Math.min(rests, lockoutsMs.length) - 1] ?? 0);
    return { after: { ...before, failures: 0, lockedUntilMs: untilMs, rests }, outcome: { kind: 'locked', untilMs } };
  }

  #offeredIn({ offer }: Enrolment, user: string, session: string): Secret | undefined {
    if (offer === undefined || offer.session !== session || this.#deps.clock.nowMs() >= offer.untilMs) return undefined;
    return this.#deps.vault.open(offer.sealedKey, user);
  }

  #checkApp(before: Enrolment, factor: Factor, user: string, code: string) {
    const key = this.#deps.vault.open(factor.sealedKey, user);
    if (key === undefined) throw keyLost();
    const step = stepOfCode(key, code, this.#deps.clock.nowMs());
    if (step === undefined) return 'wrong';
    if (step <= factor.lastStep) return 'used';
    // The key is sealed again, so that it outlives the server key that sealed it first.
    const after = { ...before, factor: { ...factor, sealedKey: this.#deps.vault.seal(key, user), lastStep: step } };
    return { after, outcome: { kind: 'right', by: 'app', recoveryLeft: factor.recovery.length } } as const;
  }
}

/**
 * The stored enrolment, merged with the one that this node wrote last: somebody who can write to the store could put an
 * older entry of the same second factor back. A code that was right on another node makes the stored entry newer, and
 * clears its counters.
 */
function notOlder(before: Enrolment, known: Enrolment | undefined): Enrolment {
  const { factor } = before;
  const knownFactor = known?.factor;
  if (factor === undefined || known === undefined || factor.sinceMs !== knownFactor?.sinceMs) return before;
  const isNewer = factor.lastStep > knownFactor.lastStep || factor.recovery.length < knownFactor.recovery.length;
  const recovery = factor.recovery.filter((one) => knownFactor.recovery.includes(one));
  const lastStep = Math.max(factor.lastStep, knownFactor.lastStep);
  const held = { ...before, factor: { ...factor, lastStep, recovery } };
  if (isNewer) return held;
  const [rests, knownRests] = [before.rests ?? 0, known.rests ?? 0];
  if (rests > knownRests || (rests === knownRests && before.failures >= known.failures)) return held;
  const { failures } = known;
  return { ...held, failures, rests: knownRests, lockedUntilMs: Math.max(before.lockedUntilMs, known.lockedUntilMs) };
}

function checkRecovery(before: Enrolment, factor: Factor, user: string, code: string) {
  const hash = hashOfCode(user, code);
  const recovery = factor.recovery.filter((one) => !isSameHash(one, hash));
  if (recovery.length === factor.recovery.length) return 'wrong';
  const after = { ...before, factor: { ...factor, recovery } };
  return { after, outcome: { kind: 'right', by: 'recovery', recoveryLeft: recovery.length } } as const;
}

function keyLost(): PosternError {
  const message =
    'the second factor of a member of staff is sealed under a server key that no longer exists: run postern staff reset NAME, then enrol NAME';
  return new PosternError('ERR_KEY_UNKNOWN', message, { source: 'gateway', retryable: false });
}

/**
 * The parameters that every authenticator app knows (RFC 6238): six digits of HMAC-SHA-1 that change each half minute.
 */
const totpParameters = { algorithm: 'SHA1', digits: 6, period: 30 } as const;
const keyBytes = 20;
/** How many steps the clock of a telephone may be off in either direction. */
const drift = 1;

/** A fresh key in Base32, in which it can be typed if no picture can be taken. */
function makeTotpKey(randomBytes: (size: number) => Uint8Array): Secret {
  const bytes = Uint8Array.from(randomBytes(keyBytes));
  return new Secret(new TotpKey({ buffer: bytes.buffer }).base32);
}

/** The `otpauth:` address that an authenticator app reads from a QR code. It contains the key. */
export function totpAddress(key: Secret, issuer: string, account: string): Secret {
  return new Secret(new TOTP({ ...totpParameters, issuer, label: account, secret: key.reveal() }).toString());
}

/** The number of the half minute since 1970 whose code this is; undefined if it belongs to no near half minute. */
export function stepOfCode(key: Secret, code: string, nowMs: number): number | undefined {
  if (!/^\d{6}$/.test(code)) return undefined;
  const secret = TotpKey.fromBase32(key.reveal());
  const delta = TOTP.validate({ ...totpParameters, token: code, secret, timestamp: nowMs, window: drift });
  return delta === null ? undefined : TOTP.counter({ period: totpParameters.period, timestamp: nowMs }) + delta;
}

/** A text as a QR code: an SVG of plain shapes without style and script. It contains the text. */
export function qrPicture(text: Secret): string {
  return renderSVG(text.reveal(), { border: 2, ecc: 'M' });
}
