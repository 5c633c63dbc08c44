import { randomBytes } from 'node:crypto';
import { access, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { loadConfig } from '../config/load.ts';
import { ConfigInvalid } from '../config/problems.ts';
import { webmailDrivers } from '../core/webmail.ts';
import { driverChecks } from '../gateway/driver-checks.ts';
import { type ExitCode, exitCodes } from './exit-codes.ts';
import { headerSecretFile, type InitAnswers, type InitBackend, initFile, initMap } from './init-file.ts';
import { withExamples } from './options.ts';
import type { Surroundings } from './surroundings.ts';

interface InitOptions {
  readonly output: string;
  readonly force?: true;
  readonly publicUrl?: string;
  readonly listen?: string;
  readonly domain?: string;
  readonly redis?: string;
  readonly driver?: string;
  readonly ca?: string;
  readonly backend?: readonly string[];
}

/** `postern init`: a first configuration, from options or from a few questions. */
export function addInit(program: Command, surroundings: Surroundings, end: (code: ExitCode) => void): void {
  const command = program
    .command('init')
    .summary('write a first configuration')
    .description('Writes a commented configuration. What no option says is asked, if somebody sits at the terminal.')
    .option('-o, --output <file>', 'the file to write', 'postern.yaml')
    .option('--force', 'write over a file that exists')
    .option('--public-url <url>', 'what users type, such as https://mail.example.org')
    .option('--listen <address>', 'where to listen (127.0.0.1:8080)')
    .option('--domain <domain>', 'put after user names without a domain')
    .option('--redis <url>', 'the Redis that all nodes share; without it one node keeps sessions in a file')
    .option('--driver <name>', `the webmail: ${webmailDrivers.join(', ')}`)
    .option('--ca <file>', 'authorities that vouch for the backends, PEM')
    .option('--backend <name=host...>', 'a backend: NAME=HOST, or NAME=IMAP_URL,WEBMAIL_URL; may be given again')
    .action(async (options: InitOptions) => {
      if (options.force !== true && (await exists(options.output))) {
        surroundings.complain(`${options.output} exists: name another file with --output, or add --force.\n`);
        return end(exitCodes.invalid);
      }
      const answers = await gather(options, surroundings);
      if (typeof answers === 'string') {
        surroundings.complain(answers);
        return end(exitCodes.invalid);
      }
      end(await write(options.output, answers, surroundings));
    });
  withExamples(command, [
    ['postern init', 'answer a few questions'],
    ['postern init --public-url https://mail.example.org --backend a=mx1.internal', 'one backend, no questions'],
    ['postern init --backend a=imaps://mx1,http://mx1/mail/ --backend b=mx2 …', 'two, the first with its URLs'],
  ]);
}

/** The answers, or what is missing where nobody can be asked. */
async function gather(options: InitOptions, { ask }: Surroundings): Promise<InitAnswers | string> {
  const say = async (given: string | undefined, question: string, otherwise: string) => {
    if (given !== undefined || ask === undefined) return given ?? otherwise;
    const answer = (await ask(`${question}${otherwise === '' ? '' : ` [${otherwise}]`}: `)).trim();
    return answer === '' ? otherwise : answer;
  };
  if (ask === undefined && (options.publicUrl === undefined || options.backend === undefined)) {
    return 'Nobody can be asked here: give at least --public-url and --backend. See postern init --help.\n';
  }
  const publicUrl = await say(options.publicUrl, 'The address that users type', 'http://127.0.0.1:8080');
  const listen = await say(options.listen, 'Listen on', '127.0.0.1:8080');
  const domain = await say(options.domain, 'Domain for names without one (empty: none)', '');
  const redis = await say(options.redis, 'Redis URL (empty: an embedded store, for one node)', '');
  const driver = await say(options.driver, `Webmail (${webmailDrivers.join(', ')})`, webmailDrivers[0]);
  const caFile = await say(options.ca, 'Authorities that vouch for the backends, PEM file (empty: the system’s)', '');
  const written =
    options.backend ?? (await say(undefined, 'Backends, as NAME=HOST separated by spaces', 'a=127.0.0.1')).split(/\s+/);
  const backends = written.map(parseBackend);
  const wrong = backends.findIndex((backend) => backend === undefined);
  if (wrong !== -1) return `${JSON.stringify(written[wrong])} is not NAME=HOST or NAME=IMAP_URL,WEBMAIL_URL.\n`;
  const known = backends.filter((backend) => backend !== undefined);
  return { publicUrl, listen, domain, redis, driver, caFile, backends: known };
}

function parseBackend(text: string): InitBackend | undefined {
  const [, name, place = ''] = /^([^=\s]+)=(\S+)$/.exec(text) ?? [];
  if (name === undefined) return undefined;
  const [imap = '', webmail, ...others] = place.split(',');
  if (others.length > 0) return undefined;
  if (webmail !== undefined) return { name, imap, webmail };
  return place.includes('//') ? undefined : { name, imap: `imaps://${place}`, webmail: `http://${place}/` };
}

/** Nothing is left behind unless `check` would accept it. */
async function write(output: string, answers: InitAnswers, surroundings: Surroundings): Promise<ExitCode> {
  const draft = `${output}.draft`;
  const folder = dirname(output);
  const needed: { readonly file: string; readonly text: string; readonly mode: number; readonly todo: string }[] = [];
  if (answers.backends.length > 1) {
    needed.push({ file: 'users.map', text: initMap(answers), mode: 0o644, todo: 'write your users there' });
  }
  if (answers.driver === 'header') {
    const text = `${randomBytes(32).toString('hex')}\n`;
    needed.push({ file: headerSecretFile, text, mode: 0o600, todo: 'give it to the webmail, too' });
  }
  const files = needed.map((each) => ({ ...each, file: join(folder, each.file) }));
  const made: typeof files = [];
  await mkdir(folder, { recursive: true });
  await writeFile(draft, initFile(answers), { mode: 0o640 });
  for (const each of files) {
    if (await exists(each.file)) continue;
    await writeFile(each.file, each.text, { mode: each.mode });
    made.push(each);
  }
  try {
    await loadConfig(draft, { env: surroundings.env, checks: driverChecks });
    await rename(draft, output);
  } catch (error) {
    for (const file of [draft, ...made.map((each) => each.file)]) await rm(file, { force: true });
    if (!(error instanceof ConfigInvalid)) throw error;
    surroundings.complain(
      `Nothing was written:\n${error.problems.map(({ path, text }) => `  ${path}: ${text}\n`).join('')}`,
    );
    return exitCodes.invalid;
  }
  surroundings.print(`Wrote ${output}${made.map(({ file, todo }) => ` and ${file}: ${todo}`).join(',')}.\n`);
  if (answers.driver === 'form') {
    surroundings.print(
      'Its form is an example: write the names and marks of your webmail there, see docs/webmails/form.md\n',
    );
  }
  surroundings.print(`Next: postern check -c ${output} --online, then postern serve -c ${output}\n`);
  return exitCodes.ok;
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
