import type { Command } from 'commander';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { ConfigInvalid } from '../config/problems.ts';
import { bracketed, formatDuration, isLoopback, type ListenAddress } from '../schema/value-parsers.ts';
import { checkFiles } from './check-files.ts';
import { askDirectory } from './check-lookups.ts';
import type { Dialled } from './check-online.ts';
import type { CommandEnvironment } from './environment.ts';
import {
  configOption,
  type ExitCode,
  exitCodes,
  exitCodesHelp,
  type Format,
  formatOption,
  withExamples,
} from './options.ts';
import { json, redisAddress, table } from './output.ts';

/** `postern check`: whether a configuration is good, and with `--online` whether its servers answer. */
export function addCheck(program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const command = program
    .command('check')
    .summary('check a configuration, and its servers')
    .description(
      'Says everything that is wrong with a configuration and the files that it names at once, or what it would run. ' +
        'Starts nothing.',
    )
    .argument('[user...]', 'with --online: users to look up, to see what each would get')
    .addOption(configOption())
    .option(
      '--online',
      'dial Redis, the directory, the IMAP server and the webmail of every backend, try its master, and look the names of the configuration up, too',
    )
    .addOption(formatOption())
    .action(async (users: string[], { config: file, online, format }: CheckOptions) => {
      const { print } = environment;
      if (users.length > 0 && !online) command.error('error: users are looked up with --online only');
      let config: Config;
      try {
        config = await loadConfig(file, { env: environment.env, checksDrivers: true });
      } catch (error) {
        // Elsewhere the problems go to standard error; for programs they are this command's answer.
        if (!(error instanceof ConfigInvalid) || format === 'table') throw error;
        print(json({ file, valid: false, problems: error.problems }));
        return end(exitCodes.invalid);
      }
      const unusable = (await checkFiles(config, online ? undefined : environment.loadGateway)).filter(
        ({ result }) => result !== 'ok',
      );
      const dialled = online ? [...unusable, ...(await askAll(config, users, environment))] : unusable;
      print(format === 'json' ? json(asJson(config, dialled)) : asText(config, dialled));
      end(dialled.some(({ result }) => result === 'failed') ? exitCodes.no : exitCodes.ok);
    });
  withExamples(command, [
    ['postern check -c postern.yaml', 'every problem as file:line:column, or a summary'],
    ['postern check -c postern.yaml --online', 'the same, and every server is dialled'],
    ['postern check --online alice bob carol', 'and what these three would get of the directory'],
    ['postern check --format json', 'for a program'],
  ]).addHelpText('after', `\n1: a server or a file failed; 2: the configuration has problems.\n${exitCodesHelp}`);
}

interface CheckOptions {
  readonly config: string;
  readonly online?: true;
  readonly format: Format;
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

function asJson(config: Config, dialled: readonly Dialled[]): object {
  return {
    file: config.file,
    valid: true,
    summary: Object.fromEntries(summarise(config)),
    remarks: remarks(config),
    ...(dialled.length === 0 ? {} : { servers: dialled }),
  };
}

function asText(config: Config, dialled: readonly Dialled[]): string {
  const lines = [
    dialled.some(({ result }) => result === 'failed')
      ? `${config.file} is well formed, but see below.`
      : `${config.file} is good.`,
    ...summarise(config).map(([what, facts]) => `  ${what.padEnd(9)}  ${facts}`),
    ...remarks(config).map((remark) => `Note: ${remark}.`),
  ];
  if (dialled.length === 0) return `${lines.join('\n')}\n`;
  const rows = dialled.map(({ server, address, result, ms, note }) => [server, address, result, `${ms} ms`, note]);
  return `${lines.join('\n')}\n\n${table(['SERVER', 'ADDRESS', 'RESULT', 'TIME', 'NOTE'], rows)}`;
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

/** Remarks on settings that are allowed but deserve a second look. */
export function remarks(config: Config): readonly string[] {
  const open = config.publicUrls.filter((url) => !url.secure && !isLoopback(hostOf(url.origin)));
  const isSecure = config.publicUrls.some((url) => url.secure);
  return [
    ...config.exposedSecrets.map((why) => `a secret is not kept: ${why}`),
    ...open.map((url) => `${url.origin} is not HTTPS: passwords cross the network in the clear`),
    ...(isSecure && config.tls.length === 0 && config.trustedProxies.length === 0
      ? [
          'public_url is HTTPS and trusted_proxies is empty: list the load balancer that ends TLS, or it is not believed',
        ]
      : []),
    ...(isLoopback(config.operators.listen.host)
      ? []
      : [`operators.listen ${addressText(config.operators.listen)} is not on loopback: keep others away from it`]),
    ...(config.directoryService === undefined ||
    config.directoryService.key !== undefined ||
    isLoopback(config.directoryService.listen.host)
      ? []
      : ['directory_service has no key_file: whoever has an address of its networks learns who is a user here']),
  ];
}

function addressText({ host, port }: ListenAddress): string {
  return `${bracketed(host)}:${port}`;
}

function hostOf(origin: string): string {
  const { hostname } = new URL(origin);
  return hostname.endsWith('.localhost') ? 'localhost' : hostname.replace(/^\[|\]$/g, '');
}
