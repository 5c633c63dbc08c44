import { hash } from 'node:crypto';

/** Weights of the members of a set by name: twice the weight, twice the keys. A member without weight gets none. */
export type MemberWeights = ReadonlyMap<string, number>;

/** A weighted set: gives each key its own order of the members. */
interface Rendezvous {
  /** The members in the order of this key: the first is its own, the second would be without the first. */
  order(key: string): readonly string[];
}

/** Two 32-bit numbers that stand for a text. */
type Digest = readonly [number, number];

/**
 * Weighted rendezvous hashing: every member draws a number for the key, and the highest wins.
 *
 * A member that goes takes only its own keys away, one that comes takes only those that it wins, and a weight that
 * changes moves keys only to or from its member. Every node comes to the same result without talking to another.
 * (Thaler and Ravishankar 1998; the weights as in Schindelhauer and Schomaker 2005.)
 *
 * Sets of different kinds draw independently, even if their members have the same names: the hosts of a backend share
 * its users evenly, although one of them is called like the backend. Homes follow from the digests: never change them.
 */
export function createRendezvous(kind: 'backend' | 'host', weights: MemberWeights): Rendezvous {
  const members = [...weights]
    .filter(([, weight]) => weight > 0)
    .map(([name, weight]) => ({ name, weight, digest: digestOf(`${kind} ${name}`) }));
  return {
    order(key) {
      const own = digestOf(`user ${key}`);
      return members
        .map(({ name, weight, digest }) => ({ name, score: -weight / Math.log(draw(own, digest)) }))
        .sort((a, b) => b.score - a.score || (a.name < b.name ? -1 : 1))
        .map(({ name }) => name);
    },
  };
}

/** Whether a user belongs to the first `percent` of all users. A larger share holds the smaller one. */
export function isInShare(user: string, percent: number): boolean {
  return draw(digestOf(`user ${user}`), shareDigest) * 100 < percent;
}

const shareDigest = digestOf('share');

function digestOf(text: string): Digest {
  const bytes = hash('sha256', text, 'buffer');
  return [bytes.readUInt32LE(0), bytes.readUInt32LE(4)];
}

/** A number of 53 bits between 0 and 1, both excluded, that a key and a member share. */
function draw(key: Digest, member: Digest): number {
  const high = mixBits(key[0] ^ member[0]);
  const low = mixBits(key[1] ^ member[1] ^ high);
  return (high * 2 ** 21 + (low >>> 11) + 0.5) / 2 ** 53;
}

/** The finaliser of MurmurHash3: each bit of the input changes half of the output. */
function mixBits(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
