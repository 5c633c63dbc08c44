import { Secret } from '../core/secret.ts';

/**
 * Freezes a value and all that hangs on it. Buffers and secrets, which cannot be frozen or need not be, stay as they
 * are.
 */
export function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  if (ArrayBuffer.isView(value) || value instanceof Secret) return value;
  const inner = value instanceof Map ? [...value.values()] : Object.values(value);
  for (const one of inner) freeze(one);
  return Object.freeze(value);
}
