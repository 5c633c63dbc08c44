import { hash } from 'node:crypto';

/** Backends and their weights: twice the weight, twice the users. */
export type Weights = ReadonlyMap<string, number>;

export interface Ring {
  /** The backends of a user in the user's own order: the first is the home, the second would be without the first. */
  order(user: string): readonly string[];
}

/** Two 32-bit numbers that stand for a text. */
type Digest = readonly [number, number];

/**
 * Weighted rendezvous hashing: every backend draws a number for the user, and the highest wins.
 *
 * A backend that goes takes only its own users away, one that comes takes only those that it wins, and a weight that
 * changes moves users only to or from its backend. Every node comes to the same result without talking to another.
 * (Thaler and Ravishankar 1998; the weights as in Schindelhauer and Schomaker 2005.)
 */
export function createRing(weights: Weights): Ring {
  const backends = [...weights]
    .filter(([, weight]) => weight > 0)
    .map(([name, weight]) => ({ name, weight, digest: digestOf(`backend ${name}`) }));
  return {
    order(user) {
      const own = digestOf(`user ${user}`);
      return backends
        .map(({ name, weight, digest }) => ({ name, score: -weight / Math.log(draw(own, digest)) }))
        .sort((a, b) => b.score - a.score || (a.name < b.name ? -1 : 1))
        .map(({ name }) => name);
    },
  };
}

function digestOf(text: string): Digest {
  const bytes = hash('sha256', text, 'buffer');
  return [bytes.readUInt32LE(0), bytes.readUInt32LE(4)];
}

/** A number between 0 and 1, both excluded, that the user and the backend share; of 53 bits. */
function draw(user: Digest, backend: Digest): number {
  const high = mix(user[0] ^ backend[0]);
  const low = mix(user[1] ^ backend[1] ^ high);
  return (high * 2 ** 21 + (low >>> 11) + 0.5) / 2 ** 53;
}

/** The finaliser of MurmurHash3: each bit of the input changes half of the output. */
function mix(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
