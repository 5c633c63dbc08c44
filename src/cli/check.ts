import { statSync } from 'node:fs';
import type { Command } from 'commander';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { ConfigInvalid } from '../config/problems.ts';
import { unsignedAccepted } from '../config/sessions-section.ts';
import { systemClock } from '../core/clock.ts';
import { bracketed, formatDuration, isLoopback, type ListenAddress } from '../schema/value-parsers.ts';
import { checkFiles } from './check-files.ts';
import { askDirectory } from './check-lookups.ts';
import { redisAddress } from '../config/sessions-section.ts';
import type { Dialled } from './check-online.ts';
import type { CommandEnvironment } from './environment.ts';
import {
  configOption,
  type ExitCode,
  exitCodes,
  exitCodesHelp,
  type ListFormat,
  listFormatOption,
  withExamples,
} from './options.ts';
import { type Cell, json, listText, table } from './output.ts';

/** `postern check`: whether a configuration is good, and with `--online` whether its servers answer. */
export function addCheck(program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const command = program
    .command('check')
    .summary('check a configuration and, with --online, its servers')
    .description(
      'Reports every problem in a configuration and in the files that it names, or sums up what it would run. ' +
        'Starts nothing.',
    )
    .argument('[user...]', 'with --online: users to look up in the directory')
    .addOption(configOption())
    .option(
      '--online',
      'also connect to Redis, the directory, and the IMAP server and webmail of every backend, try the master identities, and look up the names in the configuration',
    )
    .addOption(listFormatOption())
    .action(async (users: string[], { config: file, online, format }: CheckOptions) => {
      const { print } = environment;
      if (users.length > 0 && !online) command.error('error: looking up users needs --online');
      let config: Config;
      try {
        config = await loadConfig(file, { env: environment.env, checksDrivers: true });
      } catch (error) {
        // Elsewhere the problems go to standard error; for programs they are this command's answer.
        if (!(error instanceof ConfigInvalid) || format !== 'json') throw error;
        print(json({ file, valid: false, problems: error.problems }));
        return end(exitCodes.invalid);
      }
      const unusable = (await checkFiles(config, online ? undefined : environment.loadGateway)).filter(
        ({ result }) => result !== 'ok',
      );
      const dialled = online ? [...unusable, ...(await askAll(config, users, environment))] : unusable;
      if (format === 'table') print(checkText(config, dialled));
      else print(listText({ ...dialledList(dialled), body: checkJson(config, dialled) }, format, environment));
      end(dialled.some(({ result }) => result === 'failed') ? exitCodes.no : exitCodes.ok);
    });
  withExamples(command, [
    ['postern check -c postern.yaml', 'list every problem as file:line:column, or a summary'],
    ['postern check -c postern.yaml --online', 'the same, and connect to every server'],
    ['postern check --online alice bob carol', 'the same, and look up these three users'],
    ['postern check --format json', 'for a program'],
  ]).addHelpText('after', `\n1: a server or file failed; 2: the configuration has problems.\n${exitCodesHelp}`);
}

interface CheckOptions {
  readonly config: string;
  readonly online?: true;
  readonly format: ListFormat;
}

async function askAll(
  config: Config,
  users: readonly string[],
  { loadGateway }: CommandEnvironment,
): Promise<readonly Dialled[]> {
  // IMAP and Redis clients take a while to load, which no other command should wait for.
  const { dialAll } = await import('./check-online.ts');
  const [names, servers] = await Promise.all([askDirectory(config, users, loadGateway), dialAll(config)]);
  return [...names, ...servers];
}

function checkJson(config: Config, dialled: readonly Dialled[]): object {
  return {
    file: config.file,
    valid: true,
    summary: Object.fromEntries(summarise(config)),
    remarks: remarks(config),
    ...(dialled.length === 0 ? {} : { servers: dialled }),
  };
}

function checkText(config: Config, dialled: readonly Dialled[]): string {
  const lines = [
    dialled.some(({ result }) => result === 'failed')
      ? `${config.file} is valid, but see below.`
      : `${config.file} is valid.`,
    ...summarise(config).map(([what, facts]) => `  ${what.padEnd(9)}  ${facts}`),
    ...remarks(config).map((remark) => `Note: ${remark}.`),
  ];
  if (dialled.length === 0) return `${lines.join('\n')}\n`;
  const { headings, rows } = dialledList(dialled);
  return `${lines.join('\n')}\n\n${table(headings, rows)}`;
}

function dialledList(dialled: readonly Dialled[]) {
  const rows = dialled.map(({ server, address, result, ms, note }): readonly Cell[] => {
    return [server, address, result, { shown: `${ms} ms`, value: ms }, note];
  });
  return { headings: ['SERVER', 'ADDRESS', 'RESULT', 'TIME', 'NOTE'], rows };
}

/** A summary of what a configuration would run. */
function summarise(config: Config): readonly (readonly [what: string, facts: string])[] {
  const { sessions, directory } = config;
  const store = sessions.store.kind === 'redis' ? redisAddress(sessions.store) : `embedded, ${sessions.store.file}`;
  const drivers = Map.groupBy(config.backends.values(), (backend) => backend.driver);
  const backends = [...drivers].map(([driver, some]) => `${some.length} ${driver}`).join(', ');
  return [
    ['public', config.publicUrls.map((url) => url.origin).join(', ')],
    ['listen', `${addressText(config.listen)}, operators ${addressText(config.operators.listen)}`],
    [
      'sessions',
      `${store}; idle ${formatDuration(sessions.idleTimeoutMs)}, absolute ${formatDuration(sessions.absoluteTimeoutMs)}`,
    ],
    ['directory', directory.sources.map((source, index) => `${index + 1} ${source.type}`).join(', ')],
    ['backends', `${config.backends.size}: ${backends}`],
  ];
}

/** A cluster runs two versions for no longer. */
const longestUpgradeMs = 7 * 24 * 3_600_000;

/** Remarks on settings that are allowed but deserve a second look. */
export function remarks(config: Config, nowMs = systemClock.nowMs()): readonly string[] {
  const unsigned = unsignedAccepted(config.sessions, nowMs);
  const open = config.publicUrls.filter((url) => !url.secure && !isLoopback(loopbackAlias(url.origin)));
  const isSecure = config.publicUrls.some((url) => url.secure);
  const unsignedUntilMs = config.sessions.acceptUnsignedUntilMs ?? 0;
  return [
    ...config.exposedSecrets.map((why) => `a secret is exposed: ${why}`),
    ...whoMayChange(config.file),
    ...(unsignedUntilMs - nowMs > longestUpgradeMs + config.sessions.absoluteTimeoutMs
      ? [
          `sessions.accept_unsigned_until ${new Date(unsignedUntilMs).toISOString()} is far off: until then, who can write to the store can forge states and prolong sessions; write the time of the upgrade plus absolute_timeout`,
        ]
      : unsigned === undefined
        ? []
        : [`sessions.accept_unsigned_until is ${unsigned.until}: ${unsigned.why}`]),
    ...open.map((url) => `${url.origin} is not HTTPS: passwords cross the network in the clear`),
    ...(isSecure && config.tls.length === 0 && config.trustedProxies.length === 0
      ? [
          'public_url is HTTPS, but trusted_proxies is empty: list the load balancer that ends TLS, or its headers are not believed',
        ]
      : []),
    ...(isLoopback(config.operators.listen.host)
      ? []
      : [
          `operators.listen ${addressText(config.operators.listen)} is not on loopback: make sure that only operators can reach it`,
        ]),
    ...(config.directoryService === undefined ||
    config.directoryService.key !== undefined ||
    isLoopback(config.directoryService.listen.host)
      ? []
      : ['directory_service has no key_file: any host in its networks can find out who is a user here']),
    ...Object.entries({
      socketmap: config.directoryService?.socketmap?.listen,
      tcp_table: config.directoryService?.tcpTable?.listen,
    }).flatMap(([name, at]) =>
      at === undefined || isLoopback(at.host)
        ? []
        : [
            `directory_service.${name} ${addressText(at)} takes no key, since Postfix cannot send one: any host in directory_service.allow can find out who is a user here`,
          ],
    ),
  ];
}

/** A remark on a configuration that every user may change, and so take the gateway's place. */
function whoMayChange(file: string): readonly string[] {
  const mode = statSync(file, { throwIfNoEntry: false })?.mode ?? 0;
  return (mode & 0o002) === 0 ? [] : [`every user may change ${file}: run: chmod o-w ${file}`];
}

function addressText({ host, port }: ListenAddress): string {
  return `${bracketed(host)}:${port}`;
}

function loopbackAlias(origin: string): string {
  const { hostname } = new URL(origin);
  return hostname.endsWith('.localhost') ? 'localhost' : hostname.replace(/^\[|\]$/g, '');
}
