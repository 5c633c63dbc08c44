import type { z } from 'zod';
import type { DriverSettings, SettingProblem } from '../core/backend.ts';

/** Settings as their schema makes them, or all problems at once. */
export type ParsedSettings<T> =
  | { readonly kind: 'ok'; readonly settings: T }
  | { readonly kind: 'problems'; readonly problems: readonly SettingProblem[] };

/**
 * Checks the settings of a driver against its schema. A key without a value, which YAML reads as `null`, counts as left
 * out; a misspelled one is a problem all the same.
 */
export function parseSettings<T>(schema: z.ZodType<T>, written: DriverSettings): ParsedSettings<T> {
  const empty = new Set(Object.keys(written).filter((key) => written[key] === null));
  const parsed = schema.safeParse(Object.fromEntries(Object.entries(written).filter(([key]) => !empty.has(key))));
  const problems = parsed.success ? [] : problemsIn(parsed.error.issues);
  const unknown =
    empty.size === 0 ? [] : unknownKeysIn(schema, written).filter(({ path: [key] }) => empty.has(`${key}`));
  if (parsed.success && unknown.length === 0) return { kind: 'ok', settings: parsed.data };
  return { kind: 'problems', problems: [...problems, ...unknown] };
}

function unknownKeysIn(schema: z.ZodType, written: DriverSettings): readonly SettingProblem[] {
  const { error } = schema.safeParse(written);
  return problemsIn(error?.issues ?? []).filter(({ path, at }) => path.length === 1 && at === 'key');
}

/** The problems of a value that a schema refused, each with its path below `base`. */
export function problemsIn(
  issues: readonly z.core.$ZodIssue[],
  base: SettingProblem['path'] = [],
): readonly SettingProblem[] {
  return issues.flatMap((issue) => problemsOf(issue, base));
}

function problemsOf(issue: z.core.$ZodIssue, base: SettingProblem['path']): readonly SettingProblem[] {
  const path = [...base, ...issue.path.map((step) => (typeof step === 'number' ? step : String(step)))];
  if (issue.code === 'unrecognized_keys') {
    // The schema's own words are one line per key, in the same order.
    const texts = issue.message.split('\n');
    return issue.keys.map((key, index) => ({
      path: [...path, key],
      message: texts[index] ?? issue.message,
      at: 'key',
    }));
  }
  if (issue.code === 'invalid_union') {
    // A value of the right shape was meant to be that shape: what is wrong inside it says more than "neither".
    const meant = issue.errors.find((branch) =>
      branch.every((inner) => inner.code !== 'invalid_type' || inner.path.length > 0),
    );
    if (meant !== undefined) return problemsIn(meant, path);
  }
  return [{ path, message: issue.message }];
}
