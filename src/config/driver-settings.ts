import type { z } from 'zod';
import { secretRemedy } from '../schema/scalars.ts';
import { isMap, type Reading, wrong } from '../schema/value-parsers.ts';
import type { Outside } from './referenced-files.ts';

const fileKey = /^(?:.*_)?file$/;
/** A file that a source reads itself when it is opened: what is wrong with it is known here, with its line. */
const authorities = 'tls_ca_file';
const secretKey = /^(?:.*_)?(?:password|secret|token)$/;
/** In a template of a driver's: where the user's own password goes. */
const passwordPlace = '{password}';

type Path = readonly (string | number)[];

/**
 * Settings that belong to a driver, made independent of where they stand: a text under `file` or `…_file` becomes an
 * absolute path, and a map of nothing but `file` or `env` becomes a secret. A secret that is written out is refused.
 * What the settings mean is the driver's to check.
 */
export function settleSettings<T extends Readonly<Record<string, unknown>>>(
  settings: T,
  outside: Outside,
  context: z.core.$RefinementCtx,
): T {
  const note = (path: Path, reading: Reading<unknown>): unknown => {
    if (reading.kind === 'ok') return reading.value;
    context.addIssue({ code: 'custom', path: [...path], message: reading.why });
    return undefined;
  };
  const settle = (value: unknown, path: Path): unknown => {
    if (Array.isArray(value)) return value.map((item, index) => settle(item, [...path, index]));
    if (!isMap(value)) return settleScalar(value, path);
    const { file, env, ...others } = value;
    if (Object.keys(others).length === 0) {
      if (typeof file === 'string' && env === undefined) return note(path, outside.secretFile(file));
      if (typeof env === 'string' && file === undefined) return note(path, outside.secretVariable(env));
    }
    return settleEach(value, path);
  };
  const settleScalar = (value: unknown, path: Path): unknown => {
    const key = String(path.at(-1));
    if (secretKey.test(key) && value !== passwordPlace)
      return note(path, wrong(`must come from a file or the environment: ${secretRemedy}`));
    if (!fileKey.test(key) || typeof value !== 'string') return value;
    if (key === authorities && note(path, outside.certificates(value)) === undefined) return undefined;
    return outside.path(value);
  };
  const settleEach = (map: Readonly<Record<string, unknown>>, path: Path): Record<string, unknown> =>
    Object.fromEntries(Object.entries(map).map(([key, value]) => [key, settle(value, [...path, key])]));
  return { ...settings, ...settleEach(settings, []) };
}
