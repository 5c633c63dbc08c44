import { cpuMicros } from './cpu.ts';
import type { Contender, ContenderName, SessionUse } from './contenders.ts';
import { type Series, seriesOf } from './statistics.ts';
import type { Load, LoadResult, Wrk } from './wrk.ts';

/** The extent of a measurement. */
export interface Effort {
  /** Rounds that do not count: code is compiled and caches are filled in them. */
  readonly warmUps: number;
  /** Interleaved rounds for figures that have a target. */
  readonly rounds: number;
  /** Interleaved rounds for figures without a target. */
  readonly fewerRounds: number;
  /** The duration of one load in one round; seconds. */
  readonly seconds: number;
}

/** One round of one contender. */
export interface Round extends LoadResult {
  /** The CPU time of all processes that work for the contender's requests. */
  readonly cpuMicros: number;
}

/** The rounds of each contender. */
export type Rounds = ReadonlyMap<ContenderName, readonly Round[]>;

/** One contender under one load. */
export interface Turn {
  readonly name: ContenderName;
  readonly run: () => Promise<Round>;
}

/**
 * Runs all contenders in turn, in an order that rotates with each round, so that other work of the machine does not hit
 * one of them alone.
 */
export async function interleave(
  turns: readonly Turn[],
  rounds: number,
  { warmUps }: Pick<Effort, 'warmUps'>,
): Promise<Rounds> {
  const counted = new Map<ContenderName, Round[]>(turns.map(({ name }) => [name, []]));
  for (let round = -warmUps; round < rounds; round += 1) {
    for (let i = 0; i < turns.length; i += 1) {
      const turn = turns[(i + round + warmUps) % turns.length];
      if (turn === undefined) continue;
      const result = await turn.run();
      if (round >= 0) counted.get(turn.name)?.push(result);
    }
  }
  return counted;
}

/** The part of a load that differs between contenders. */
export type SharedLoad = Omit<Load, 'origin' | 'cookies'>;

/** Runs one load with wrk. `through: 'tls'` needs a contender that was set up with TLS. */
export async function turnOf(
  contender: Contender,
  load: SharedLoad,
  options: { readonly wrk: Wrk; readonly use?: SessionUse; readonly users?: number; readonly through?: 'tls' },
): Promise<Turn> {
  const { origin, pids } = options.through === 'tls' ? tlsOf(contender) : contender;
  const cookies = await contender.cookies(options.use ?? 'files', options.users ?? 1);
  return {
    name: contender.name,
    async run() {
      const before = cpuMicros(pids);
      const result = await options.wrk({ ...load, origin, cookies });
      return { ...result, cpuMicros: cpuMicros(pids) - before };
    },
  };
}

function tlsOf({ name, tls }: Contender) {
  if (tls === undefined) throw new TypeError(`${name} was set up without TLS`);
  return tls;
}

/** One figure of each round of a contender. */
export function figures(rounds: Rounds, name: ContenderName, figure: (round: Round) => number): Series {
  return seriesOf((rounds.get(name) ?? []).map(figure));
}

/** CPU microseconds per request. */
export function cpuPerRequest({ cpuMicros, requests }: Round): number {
  return cpuMicros / requests;
}
