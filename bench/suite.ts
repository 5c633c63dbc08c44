import { startContenders } from './contenders.ts';
import type { Part } from './parts/part.ts';
import { cold } from './parts/cold.ts';
import { latency } from './parts/latency.ts';
import { caseNames, requestsPart } from './parts/requests.ts';
import { memory } from './parts/memory.ts';
import { signIn } from './parts/sign-in.ts';
import { signIns } from './parts/sign-ins.ts';
import { start } from './parts/start.ts';
import { webSockets } from './parts/web-sockets.ts';
import { workers } from './parts/workers.ts';
import type { Section } from './report.ts';
import type { Effort } from './rounds.ts';
import { openStage } from './stage.ts';
import { createWrk } from './wrk.ts';

/** Every part, in the order of the report. */
export const parts: ReadonlyMap<string, Part> = new Map([
  ...caseNames.map((name) => [name, requestsPart(name)] as const),
  ['cold', cold],
  ['latency', latency],
  ['web-sockets', webSockets],
  ['sign-in', signIn],
  ['sign-ins', signIns],
  ['start', start],
  ['memory', memory],
  ['workers', workers],
]);

export interface SuiteOptions {
  readonly effort: Effort;
  /** The parts to run, by name. */
  readonly only: readonly string[];
  /** Called before and after each part. */
  readonly say: (text: string) => void;
  /** Called when a part fails, after which the others go on. Without it the first failure ends the run. */
  readonly failed?: (name: string, error: unknown) => void;
}

/** Runs parts of the suite one after the other, each on a stage of its own. */
export async function runSuite({ effort, only, say, failed }: SuiteOptions): Promise<readonly Section[]> {
  await using stage = await openStage();
  const contenders = await startContenders(stage);
  const context = { stage, contenders, wrk: createWrk(stage.folder), effort };
  const sections: Section[] = [];
  for (const [name, part] of parts) {
    if (!only.includes(name)) continue;
    const startedMs = performance.now();
    try {
      sections.push(...(await part(context)));
    } catch (error) {
      if (failed === undefined) throw error;
      failed(name, error);
    }
    say(`${name}: ${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
  }
  return sections;
}
