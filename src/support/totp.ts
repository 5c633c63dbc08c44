import { Secret as TotpKey, TOTP } from 'otpauth';
import { Secret } from '../core/secret.ts';

/** What every authenticator app knows (RFC 6238): six digits of HMAC-SHA-1 that change each half minute. */
const form = { algorithm: 'SHA1', digits: 6, period: 30 } as const;
const keyBytes = 20;
/** How many steps the clock of a telephone may be off, either way. */
const drift = 1;

/** A fresh key, as Base32: the form in which it can be typed where no picture can be taken. */
export function makeTotpKey(randomBytes: (size: number) => Uint8Array): Secret {
  const bytes = Uint8Array.from(randomBytes(keyBytes));
  return new Secret(new TotpKey({ buffer: bytes.buffer }).base32);
}

/** The address that an authenticator app reads from a picture. It holds the key. */
export function totpAddress(key: Secret, issuer: string, account: string): Secret {
  return new Secret(new TOTP({ ...form, issuer, label: account, secret: key.reveal() }).toString());
}

/** The half minute, counted from 1970, whose code this is; nothing where it is that of none nearby. */
export function stepOfCode(key: Secret, code: string, nowMs: number): number | undefined {
  if (!/^\d{6}$/.test(code)) return undefined;
  const secret = TotpKey.fromBase32(key.reveal());
  const delta = TOTP.validate({ ...form, token: code, secret, timestamp: nowMs, window: drift });
  return delta === null ? undefined : TOTP.counter({ period: form.period, timestamp: nowMs }) + delta;
}
