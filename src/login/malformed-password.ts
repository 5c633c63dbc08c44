import type { Secret } from '../core/secret.ts';

const maxBytes = 1024;

/**
 * Whether a password cannot be one: empty, over 1024 bytes, with NUL, CR or LF, or not UTF-8.
 *
 * Any other character is taken as it is. What a browser sent in broken UTF-8 shows as U+FFFD.
 */
export function isMalformedPassword(password: Secret): boolean {
  const text = password.reveal();
  return text === '' || Buffer.byteLength(text) > maxBytes || /[\0\r\n\ufffd]/.test(text) || !text.isWellFormed();
}
