import type { BackendName, CanonicalUser } from '../../src/core/names.ts';

/** Names as the directory hands them out, for tests that need no directory. */
export function canonicalUser(text: string): CanonicalUser {
  if (!isCanonicalUser(text)) throw new TypeError('a user is never empty');
  return text;
}

export function backendName(text: string): BackendName {
  if (!isBackendName(text)) throw new TypeError('a backend is never empty');
  return text;
}

function isCanonicalUser(text: string): text is CanonicalUser {
  return text !== '';
}

function isBackendName(text: string): text is BackendName {
  return text !== '';
}
