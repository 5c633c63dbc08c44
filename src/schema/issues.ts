import type { z } from 'zod';
import type { SettingProblem } from '../core/backend.ts';

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
