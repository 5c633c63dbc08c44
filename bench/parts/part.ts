import type { Contenders } from '../contenders.ts';
import type { Section } from '../report.ts';
import type { Effort } from '../rounds.ts';
import type { Stage } from '../stage.ts';
import type { Wrk } from '../wrk.ts';

/** The tools of a part of the suite. */
export interface PartContext {
  readonly stage: Stage;
  readonly contenders: Contenders;
  readonly wrk: Wrk;
  readonly effort: Effort;
}

/** Measures one subject, and resolves with a section for each table. */
export type Part = (context: PartContext) => Promise<readonly Section[]>;
