import type { Config } from '../config/config.ts';
import { PosternError } from '../core/error.ts';
import { createLoginNameParser, type LoginNameParser } from '../core/names.ts';
import { warningLog } from './check-files.ts';
import type { Dialled } from './check-online.ts';
import type { CommandEnvironment, OpenDirectory } from './environment.ts';
import { inOrder } from './lookup.ts';

type Outcome = Pick<Dialled, 'result' | 'note'>;
type LookupOutcome = Awaited<ReturnType<OpenDirectory['explain']>>['outcome'];

/** A name to look up. `server` is its origin, for the first column. */
interface Question {
  readonly server: 'user' | 'staff' | 'never_opened';
  readonly name: string;
}

/** A user that cannot exist: every source is asked, unless one answers for everybody. */
const nobody = 'postern-check@invalid';
const parallelNames = 32;
const hint = 'answers; to look users up, name some: check --online USER USER USER';

/**
 * The half of `check --online` that asks the directory; `dialAll` is the other half. Opens the directory, whose files
 * are read by that, and asks its sources for a user that does not exist; then for the given users, and for every name
 * of the configuration: one that is nobody's mailbox protects and allows nobody.
 */
export async function askDirectory(
  config: Config,
  users: readonly string[],
  loadGateway: CommandEnvironment['loadGateway'],
): Promise<readonly Dialled[]> {
  const { buildDirectory } = await loadGateway();
  const address = config.directory.sources.map(({ type }, index) => `${index + 1} ${type}`).join(', ');
  const warnings: string[] = [];
  const startedAt = performance.now();
  const row = (outcome: Outcome): Dialled => ({ server: 'directory', address, ...outcome, ms: since(startedAt) });
  try {
    await using directory = await buildDirectory(config, warningLog(warnings));
    const remarks = [...warnings];
    const parse = createLoginNameParser(config.directory.nameRules);
    const answers = await askName(directory, parse, nobody);
    if (answers?.kind === 'tempfail') return [row({ result: 'failed', note: answers.why })];
    const isWarning = remarks.length > 0;
    const said = isWarning ? remarks.join('; ') : users.length === 0 && canRefuse(config) ? hint : 'answers';
    const rows = [row({ result: isWarning ? 'warning' : 'ok', note: said })];
    for await (const one of inOrder(namesToAsk(config, users), parallelNames, (question) =>
      askQuestion(question, directory, parse),
    )) {
      rows.push(one);
    }
    return rows;
  } catch (error) {
    if (error instanceof PosternError) return [row({ result: 'failed', note: error.message })];
    throw error;
  }
}

async function* namesToAsk({ support }: Config, users: readonly string[]): AsyncIterable<Question> {
  for (const name of users) yield { server: 'user', name };
  for (const name of support?.staff.keys() ?? []) yield { server: 'staff', name };
  for (const name of support?.neverOpened ?? []) yield { server: 'never_opened', name };
}

async function askQuestion(question: Question, directory: OpenDirectory, parse: LoginNameParser): Promise<Dialled> {
  const startedAt = performance.now();
  const outcome = await askName(directory, parse, question.name);
  const judged = outcome === undefined ? noName : judgeOutcome(question, outcome);
  return { server: question.server, address: question.name, ...judged, ms: since(startedAt) };
}

const neverTold =
  'no source names a backend, so nobody can check the password, and this user reads the same text as after a wrong password';

const noName: Outcome = { result: 'warning', note: 'is not a valid user name' };

/** Asks the directory for a name; undefined if the text cannot be one. The directory limits the time. */
async function askName(
  directory: OpenDirectory,
  parse: LoginNameParser,
  name: string,
): Promise<LookupOutcome | undefined> {
  const parsed = parse(name);
  if (parsed.kind === 'malformed') return undefined;
  return (await directory.explain(parsed.name, new AbortController().signal)).outcome;
}

function judgeOutcome({ server, name }: Question, outcome: LookupOutcome): Outcome {
  const isUser = server === 'user';
  const harm = server === 'staff' ? 'this entry gives nobody a role' : 'this entry protects nobody';
  switch (outcome.kind) {
    case 'found': {
      const { user, backend } = outcome;
      if (isUser || user === name)
        return { result: 'ok', note: `lives on ${backend}${user === name ? '' : ` as ${user}`}` };
      return { result: 'warning', note: `is an alias of ${user}: ${harm}; write ${user}` };
    }
    case 'refused': {
      const note = `may not sign in: ${outcome.reason}`;
      if (outcome.at !== undefined) return { result: server === 'staff' ? 'warning' : 'ok', note };
      return { result: 'warning', note: `${note}; ${neverTold}` };
    }
    case 'referred':
      return { result: 'ok', note: `${outcome.server.name} names the backend, but only at sign-in` };
    case 'unknown-user':
      return { result: 'warning', note: isUser ? 'is unknown here' : `is unknown here: ${harm}` };
    case 'tempfail':
      return { result: 'failed', note: outcome.why };
    default:
      return outcome satisfies never;
  }
}

/** Whether a source can refuse users. The meaning of such values is easily misconfigured. */
function canRefuse({ directory: { sources } }: Config): boolean {
  return sources.some((source) => ['ldap', 'postgresql', 'mysql', 'http'].includes(source.type));
}

function since(startedAt: number): number {
  return Math.round(performance.now() - startedAt);
}
