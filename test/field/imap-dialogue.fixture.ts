import type { TestCertificate } from '../passdb/certificates.fixture.ts';
import type { Script, Turn } from '../passdb/scripted-imap.fixture.ts';

/** A recorded dialogue: `S:` is the server, `C:` a client, and `<tag>` the tag of the command. */
export interface Dialogue {
  readonly greeting: string;
  /** The answers by the name of the command; `reply` for a SASL reply or the bytes of a literal. */
  readonly answers: ReadonlyMap<string, readonly string[]>;
  /** The last lines of the server in further runs. */
  readonly otherRuns: readonly string[];
}

export function readDialogue(text: string): Dialogue {
  const answers = new Map<string, string[]>();
  const otherRuns: string[] = [];
  let greeting = '';
  let current: string[] | undefined;
  let isOtherRun = false;
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) isOtherRun ||= /\brun\b/.test(line);
    const [, who, said = ''] = /^([SC]): (.*)$/.exec(line) ?? [];
    if (who === 'S' && isOtherRun) otherRuns.push(said);
    else if (who === 'S' && current === undefined && answers.size === 0) greeting = said;
    else if (who === 'S') current?.push(said);
    if (who !== 'C') continue;
    current = [];
    answers.set(/^<tag> (\S+)/.exec(said)?.[1] ?? 'reply', current);
  }
  return { greeting, answers, otherRuns };
}

/** Starts the server of a dialogue; `last` replaces its last line. It answers unknown commands with BAD. */
export function serverOf({ greeting, answers }: Dialogue, certificate: TestCertificate, last?: string): Script {
  const told = new Map(answers);
  const [command = '', lines = []] = [...told].at(-1) ?? [];
  if (last !== undefined) told.set(command, [...lines.slice(0, -1), last]);
  let waiting = '';
  return {
    certificate,
    greeting,
    answer(turn: Turn) {
      const tag = waiting === '' ? turn.tag : waiting;
      const found = told.get(waiting === '' ? turn.command : 'reply') ?? [`${tag} BAD unknown`];
      turn.say(...found.map((line) => line.replaceAll('<tag>', tag)));
      waiting = found.at(-1)?.startsWith('+') === true ? tag : '';
    },
  };
}
