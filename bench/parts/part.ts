import type { Contenders } from '../contenders.ts';
import type { Section } from '../report.ts';
import type { Effort } from '../rounds.ts';
import type { Stage } from '../stage.ts';
import type { Wrk } from '../wrk.ts';

/** What a part of the suite measures with. */
export interface PartContext {
  readonly stage: Stage;
  readonly contenders: Contenders;
  readonly wrk: Wrk;
  readonly effort: Effort;
}

/** Measures one thing, in as many sections as it has tables. */
export type Part = (context: PartContext) => Promise<readonly Section[]>;
