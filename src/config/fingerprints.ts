import { createHash } from 'node:crypto';
import { isMap } from './settings.ts';

/**
 * Each value that is no map, as path → hash, to tell whether it changed: `sessions.idle_timeout` → hash of `"30 min"`.
 * A list is one value. Hashes, because a file with problems may hold what should not be kept.
 */
export function fingerprints(root: Readonly<Record<string, unknown>>): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  const walk = (map: Readonly<Record<string, unknown>>, prefix: string) => {
    for (const [key, value] of Object.entries(map)) {
      if (isMap(value)) walk(value, `${prefix}${key}.`);
      else values.set(prefix + key, createHash('sha256').update(JSON.stringify(value)).digest('base64'));
    }
  };
  walk(root, '');
  return values;
}
