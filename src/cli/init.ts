import { randomBytes } from 'node:crypto';
import { access, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { loadConfig } from '../config/load.ts';
import { ConfigInvalid } from '../config/problems.ts';
import { createReferencedFiles } from '../config/referenced-files.ts';
import { driverNames } from '../webmail/registry.ts';
import type { CommandEnvironment } from './environment.ts';
import { answerJudges, type InitBackend, type Judge, noBackend, parseBackend } from './init-answers.ts';
import { containerPlaces, type InitPlaces, placesBeside, systemFile } from './init-places.ts';
import { type ExitCode, exitCodes, withExamples } from './options.ts';

interface InitOptions {
  readonly output?: string;
  readonly container?: true;
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
export function addInit(program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const command = program
    .command('init')
    .summary('write a first configuration')
    .description(
      'Writes a commented configuration. On a terminal it asks for whatever no option gives. In /etc/postern it is that ' +
        'of a service: keys, store, audit and socket lie under /var/lib, /var/log and /run.',
    )
    .option('-o, --output <file>', 'the file to write (postern.yaml; with --container /etc/postern/postern.yaml)')
    .option('--container', 'for a container: listens on all addresses, keeps its state in /var/lib/postern')
    .option('--force', 'overwrite an existing file')
    .option('--public-url <url>', 'what users type, such as https://mail.example.org')
    .option('--listen <address>', 'where to listen (127.0.0.1:8080)')
    .option('--domain <domain>', 'domain to append to user names without one')
    .option('--redis <url>', 'the Redis that all nodes share; without it, a single node keeps sessions in a file')
    .option('--driver <name>', `the webmail: ${driverNames.join(', ')}`)
    .option('--ca <file>', 'CA certificates of the backends, PEM')
    .option('--backend <name=host...>', 'a backend: NAME=HOST, or NAME=IMAP_URL,WEBMAIL_URL; repeatable')
    .action(async (options: InitOptions) => {
      const output = options.output ?? (options.container === true ? systemFile : 'postern.yaml');
      if (options.force !== true && (await exists(output))) {
        environment.complain(`${output} exists: name another file with --output, or add --force.\n`);
        return end(exitCodes.invalid);
      }
      const answers = await gather(output, options, environment);
      if (typeof answers === 'string') {
        environment.complain(answers);
        return end(exitCodes.invalid);
      }
      end(await write(output, answers, environment));
    });
  withExamples(command, [
    ['postern init', 'answer a few questions'],
    ['postern init -o /etc/postern/postern.yaml', 'the same, for the service of the package'],
    ['postern init --public-url https://mail.example.org --backend a=mx1.internal', 'one backend, no questions'],
    [
      'postern init --backend a=imaps://mx1,http://mx1/mail/ --backend b=mx2 …',
      'two backends, the first with its URLs',
    ],
  ]);
}

/** Returns the answers, or a message about what is missing if nobody can be asked. */
async function gather(
  output: string,
  options: InitOptions,
  { ask, print, env }: CommandEnvironment,
): Promise<InitAnswers | string> {
  const isContainer = options.container === true;
  const defaultListen = isContainer ? '0.0.0.0:8080' : '127.0.0.1:8080';
  const judges = answerJudges(createReferencedFiles(resolve(dirname(output)), env));
  const say = async (given: string | undefined, question: string, otherwise: string, whyWrong: Judge) => {
    if (given !== undefined || ask === undefined) return given ?? otherwise;
    for (;;) {
      const answer = (await ask(`${question}${otherwise === '' ? '' : ` [${otherwise}]`}: `)).trim() || otherwise;
      const why = answer === '' ? undefined : whyWrong(answer);
      if (why === undefined) return answer;
      print(`${JSON.stringify(answer)} ${why}\n`);
    }
  };
  if (ask === undefined && (options.publicUrl === undefined || options.backend === undefined)) {
    return 'This is not a terminal, so nothing can be asked: give at least --public-url and --backend. See postern init --help.\n';
  }
  const publicUrl = await say(
    options.publicUrl,
    'The address that users type',
    'http://127.0.0.1:8080',
    judges.publicUrl,
  );
  const listen = await say(options.listen, 'Listen on', defaultListen, judges.listen);
  const domain = await say(options.domain, 'Domain for names without one (empty: none)', '', judges.domain);
  const redis = await say(options.redis, 'Redis URL (empty: an embedded store, for a single node)', '', judges.redis);
  const driver = await say(options.driver, `Webmail (${driverNames.join(', ')})`, driverNames[0], judges.driver);
  const caFile = await say(
    options.ca,
    'CA certificates of the backends, PEM file (empty: those of the system)',
    '',
    judges.caFile,
  );
  const written =
    options.backend ??
    (await say(undefined, 'Backends, as NAME=HOST separated by spaces', 'a=127.0.0.1', judges.backends)).split(/\s+/);
  const backends = written.map(parseBackend);
  const wrong = backends.findIndex((backend) => backend === undefined);
  if (wrong !== -1) return `${JSON.stringify(written[wrong])} ${noBackend}.\n`;
  const known = backends.filter((backend) => backend !== undefined);
  const places = isContainer ? containerPlaces(redis !== '') : placesBeside(resolve(output));
  return { publicUrl, listen, domain, redis, driver, caFile, backends: known, places };
}

/** Writes the configuration. If `check` would not accept it, nothing is left behind. */
async function write(output: string, answers: InitAnswers, environment: CommandEnvironment): Promise<ExitCode> {
  const draft = `${output}.draft`;
  const folder = dirname(output);
  const needed: { readonly file: string; readonly text: string; readonly mode: number; readonly todo: string }[] = [];
  if (answers.backends.length > 1) {
    needed.push({ file: 'users.map', text: initMap(answers), mode: 0o644, todo: 'list your users there' });
  }
  if (answers.driver === 'header') {
    const text = `${randomBytes(32).toString('hex')}\n`;
    needed.push({ file: headerSecretFile, text, mode: 0o600, todo: 'give the same secret to the webmail' });
  }
  const files = needed.map((each) => ({ ...each, file: join(folder, each.file) }));
  const made: typeof files = [];
  const madeFolder = await mkdir(folder, { recursive: true });
  const group = await groupFor(folder);
  await rm(draft, { force: true });
  await writeNew(draft, initFile(answers), 0o640, group);
  for (const each of files) {
    if (await exists(each.file)) continue;
    await writeNew(each.file, each.text, each.mode, group);
    made.push(each);
  }
  try {
    await loadConfig(draft, { env: environment.env, checksDrivers: true });
    await rename(draft, output);
  } catch (error) {
    for (const file of [draft, ...made.map((each) => each.file)]) await rm(file, { force: true });
    if (madeFolder !== undefined) await rm(madeFolder, { recursive: true });
    if (!(error instanceof ConfigInvalid)) throw error;
    environment.complain(
      `Nothing was written:\n${error.problems.map(({ path, text }) => `  ${path}: ${text}\n`).join('')}`,
    );
    return exitCodes.invalid;
  }
  environment.print(`Wrote ${output}${made.map(({ file, todo }) => ` and ${file}: ${todo}`).join(',')}.\n`);
  if (answers.driver === 'form') {
    environment.print(
      'The form in it is an example: replace its fields and signs by those of your webmail, see docs/webmails/form.md\n',
    );
  }
  const start = answers.places.start ?? `postern serve -c ${output}`;
  environment.print(`Next: postern check -c ${output} --online, then ${start}\n`);
  return exitCodes.ok;
}

/**
 * Writes a file that must not exist yet, not even as a link: root may write into a folder of somebody else. A group is to
 * read it.
 */
async function writeNew(file: string, text: string, mode: number, group: number | undefined): Promise<void> {
  await using handle = await open(file, 'wx', mode);
  await handle.writeFile(text);
  if (group === undefined) return;
  await handle.chown(0, group);
  await handle.chmod(0o640);
}

/**
 * The group that must be able to read what root writes into a folder: that of the folder, if it is not root's. Undefined
 * if this is not root, or the folder is root's alone.
 */
async function groupFor(folder: string): Promise<number | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const { gid } = await stat(folder);
  return gid === 0 ? undefined : gid;
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

/** The answers that a new configuration is made of. */
interface InitAnswers {
  readonly publicUrl: string;
  readonly listen: string;
  /** Empty: names are used as they are typed. */
  readonly domain: string;
  /** Empty: the embedded store. */
  readonly redis: string;
  readonly driver: string;
  /** Empty: the system's authorities. */
  readonly caFile: string;
  readonly backends: readonly InitBackend[];
  readonly places: InitPlaces;
}

/** Makes a commented configuration. Answers are quoted, so that each can only be a value. */
export function initFile(answers: InitAnswers): string {
  const { publicUrl, listen, domain, redis, driver, caFile, backends, places } = answers;
  const isSecure = publicUrl.startsWith('https:');
  const [first] = backends;
  const isOne = backends.length === 1 && first !== undefined;
  return [
    '# Postern. All keys: docs/configuration.md. To check this file: postern check -c THIS_FILE',
    '# Paths are relative to this file. A secret is { file: NAME } or { env: VARIABLE }, never written out here.',
    '',
    '# Where this node listens for browsers or your load balancer.',
    `listen: ${plainYaml(listen)}`,
    '# Behind a balancer that keeps idle connections for more than 60 s (Google 600 s, Envoy 1 h; docs/load-balancers.md):',
    `# listen: { address: ${plainYaml(listen)}, keep_alive: 620s }`,
    '',
    '# What users type. Requests for any other host are refused; several addresses are a [list].',
    `public_url: ${plainYaml(publicUrl)}`,
    '',
    `# Networks of your load balancers: only their X-Forwarded-* headers are believed.${isSecure ? ' One of them must end TLS.' : ''}`,
    `trusted_proxies: ${isSecure ? '[127.0.0.1]' : '[]'}`,
    '',
    '# For operators only: /metrics and health, and the socket that postern backend, who, kick and move speak to.',
    `operators: { listen: ${places.operators}, socket: ${places.socket} }`,
    '',
    'sessions:',
    redis === ''
      ? commentedLine('  # redis: redis://127.0.0.1:6379/0', `for several nodes; without it ${places.storeFile}`)
      : `  redis: ${plainYaml(redis)}`,
    ...(redis === '' && places.keepsDefaults !== true ? [`  store_file: ${places.storeFile}`] : []),
    commentedLine(`  keys_file: ${places.keysFile}`, places.keysAre),
    '  # idle_timeout: 30 min',
    '  # absolute_timeout: 12h',
    '',
    ...(places.auditFile === undefined
      ? []
      : ['# What staff and operators did: docs/audit.md', `audit: { file: ${places.auditFile} }`, '']),
    'directory:',
    domain === ''
      ? commentedLine('  # default_domain: example.org', 'put after names without a domain')
      : commentedLine(`  default_domain: ${plainYaml(domain)}`, 'put after names without a domain'),
    commentedLine('  sources:', 'asked in this order'),
    isOne
      ? commentedLine(`    - { type: static, backend: ${plainYaml(first.name)} }`, 'one backend for everybody')
      : commentedLine('    - { type: map, file: users.map }', '"alice@example.org: a", one per line'),
    '',
    'backend_defaults:',
    `  driver: ${plainYaml(driver)}`,
    caFile === ''
      ? commentedLine('  # tls_ca_file: ca.crt', "instead of the system's authorities")
      : commentedLine(`  tls_ca_file: ${plainYaml(caFile)}`, "instead of the system's authorities"),
    ...driverLines(driver),
    '',
    '# imaps:// is TLS at once, imap:// is STARTTLS, required. The path of the webmail is where users land.',
    'backends:',
    ...backends.map(
      ({ name, imap, webmail }) => `  ${plainYaml(name)}: { imap: ${plainYaml(imap)}, webmail: ${plainYaml(webmail)} }`,
    ),
    '',
    commentedLine('# include: backends.d/*.yaml', 'further backends'),
    '',
  ].join('\n');
}

/** Example settings that a driver needs; the operator must adapt them. */
function driverLines(driver: string): readonly string[] {
  if (driver === 'form') {
    return [
      '  # This is an example: your webmail has other fields and signs. How to find them, and those of known webmails:',
      '  # docs/webmails/form.md',
      '  form:',
      commentedLine('    # page: /login', 'where the form stands, if not on the landing page'),
      '    user_field: username',
      '    password_field: password',
      commentedLine('    success: { status: 302 }', 'the answer to a right password'),
      commentedLine('    failure: { status: 200 }', 'the answer to a wrong one'),
      commentedLine('    # lost: { status: 302, location: /login }', 'any answer that shows a lost session'),
    ];
  }
  if (driver !== 'header') return [];
  return [
    '  # The webmail must believe the user field only together with the secret: docs/webmails/header.md',
    `  header: { user_field: X-Remote-User, secret: { file: ${headerSecretFile} } }`,
  ];
}

/** File beside the configuration with the secret of the `header` driver. */
const headerSecretFile = 'header.secret';

/** Makes the example map for a configuration with several backends. */
function initMap({ domain, backends }: InitAnswers): string {
  return `# Home of each user: "user: backend", one per line. The file is read again when it changes.
# This is an example; write your own users instead.
alice@${domain === '' ? 'example.org' : domain}: ${backends[0]?.name ?? 'a'}
`;
}

function commentedLine(text: string, comment: string): string {
  return `${text.padEnd(39)} # ${comment}`;
}

/** Writes a text plainly if YAML allows that, even between braces; else as JSON, which is YAML, too. */
function plainYaml(text: string): string {
  const isPlain = /^[a-z][\w./:@-]*$/i.test(text) && !/:$|^(?:true|false|null|yes|no|on|off|y|n)$/i.test(text);
  return isPlain ? text : JSON.stringify(text);
}
