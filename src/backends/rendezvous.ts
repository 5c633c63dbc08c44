import { createHash } from 'node:crypto';

/**
 * The member with the highest weighted score for a key (rendezvous hashing with logarithmic weights): each key has one
 * order of all members, and when a member goes, only its own keys go elsewhere. Nothing when there is no member.
 */
export function rendezvous<T>(
  key: string,
  members: readonly T[],
  of: (member: T) => { readonly name: string; readonly weight: number },
): T | undefined {
  let best: T | undefined;
  let highest = Number.NEGATIVE_INFINITY;
  for (const member of members) {
    const { name, weight } = of(member);
    const score = -weight / Math.log(fraction(key, name));
    if (score <= highest) continue;
    best = member;
    highest = score;
  }
  return best;
}

/** Of a key and a name: between 0 and 1, neither of them, and the same on every node. */
export function fraction(key: string, name: string): number {
  const digest = createHash('sha256')
    .update(JSON.stringify([key, name]))
    .digest();
  return (digest.readUIntBE(0, 6) + 0.5) / 2 ** 48;
}
