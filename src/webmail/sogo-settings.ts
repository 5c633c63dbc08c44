import type { DriverSettings, SettingProblem } from '../core/backend.ts';
import { Secret } from '../core/secret.ts';
import { type ParsedSettings, readSecret, unknownKeys } from './driver-settings.ts';

/** How SOGo is entered: by its own sign-in, or by a web server in front of it that trusts the gateway. */
export type SogoSettings =
  | { readonly mode: 'password' }
  | {
      readonly mode: 'trusted';
      /** What that web server knows the gateway by. */
      readonly secret: Secret;
      /** The password that opens every mailbox under SOGo's IMAP login name; the user's own where there is none. */
      readonly imapPassword: Secret | undefined;
    };

/** Checks the settings of the `sogo` driver; all problems at once. */
export function parseSogoSettings(given: DriverSettings): ParsedSettings<SogoSettings> {
  const mode = given['mode'] ?? 'password';
  const problems: SettingProblem[] = [...unknownKeys(given, ['mode', 'secret', 'imap_password'])];
  if (mode !== 'password' && mode !== 'trusted') {
    problems.push({ path: ['mode'], message: 'is neither password nor trusted' });
  }
  const secret = readSecret(given, 'secret', problems);
  const imapPassword = given['imap_password'];
  if (imapPassword !== undefined && !(imapPassword instanceof Secret)) {
    problems.push({ path: ['imap_password'], message: 'is not a secret: write { file: NAME } or { env: VARIABLE }' });
  }
  if (mode === 'password') {
    for (const key of ['secret', 'imap_password']) {
      if (given[key] !== undefined) problems.push({ path: [key], message: 'has a use in mode trusted only' });
    }
  } else if (given['secret'] === undefined) {
    const message = 'is missing: without it whoever reaches the web server could name any user';
    problems.push({ path: ['secret'], message });
  }
  if (problems.length > 0) return { kind: 'problems', problems };
  if (secret === undefined) return { kind: 'ok', settings: { mode: 'password' } };
  const password = imapPassword instanceof Secret ? imapPassword : undefined;
  return { kind: 'ok', settings: { mode: 'trusted', secret, imapPassword: password } };
}
