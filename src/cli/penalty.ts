import { type Command, Option } from 'commander';
import { defined } from '../core/objects.ts';
import { cell, openApi, refusalCode, rowsIn } from './api-client.ts';
import type { CommandEnvironment } from './environment.ts';
import {
  configOption,
  type ExitCode,
  exitCodes,
  type Format,
  formatOption,
  reasonOption,
  withExamples,
} from './options.ts';
import { json, table } from './output.ts';

interface ListOptions {
  readonly config: string;
  readonly format: Format;
  readonly user?: string;
  readonly domain?: string;
  readonly network?: string;
  readonly all?: true;
  readonly limit?: string;
}

interface LiftOptions {
  readonly config: string;
  readonly reason: string;
  readonly network?: string;
}

/** `postern penalty`: the delays after wrong passwords, over all nodes, and lifting them. */
export function addPenalty(program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const penalty = program.command('penalty').summary('list and lift delays after wrong passwords');
  penalty
    .command('list')
    .summary('list who waits longer at sign-in, over all nodes, the latest wrong password first')
    .option('--user <user>', 'of this user')
    .option('--domain <domain>', 'of users of this domain')
    .option('--network <network>', 'from this network, such as 192.0.2.0/24, or the network of this address')
    .option('--all', 'also counts that delay nobody yet')
    .addOption(new Option('--limit <number>', 'show at most so many').default('100'))
    .addOption(configOption())
    .addOption(formatOption())
    .action(async ({ config, format, all, ...wanted }: ListOptions) => {
      const ask = await openApi(config, environment);
      const query = { ...wanted, ...defined({ without_delay: all === true ? 'true' : undefined }) };
      const reply = await ask('GET', `/penalties?${new URLSearchParams(Object.entries(query)).toString()}`);
      const refused = refusalCode(reply, environment.complain);
      if (refused === undefined) {
        const { penalties, next } = reply.body;
        const more = next === undefined ? '' : 'There are more: --limit shows up to 1000, --user or --network fewer.\n';
        environment.print(format === 'json' ? json(reply.body) : `${penaltyTable(penalties)}${more}`);
      }
      end(refused ?? exitCodes.ok);
    });
  penalty
    .command('lift')
    .summary('let a user, or a network, sign in without delay again')
    .argument('[user]', 'a user name, as typed at sign-in')
    .option('--network <network>', 'from this network alone; without a user, also its own count')
    .addOption(reasonOption())
    .addOption(configOption())
    .action(async (user: string | undefined, { config, reason, network }: LiftOptions) => {
      if (user === undefined && network === undefined) {
        environment.complain('say whose penalty to lift: a user, or --network\n');
        return end(exitCodes.invalid);
      }
      const ask = await openApi(config, environment);
      const query = new URLSearchParams(Object.entries(defined({ user, network })));
      const reply = await ask('DELETE', `/penalties?${query.toString()}`, { reason });
      const refused = refusalCode(reply, environment.complain);
      if (refused === undefined) environment.print(`Lifted.\n${penaltyTable(reply.body['penalties'])}`);
      end(refused ?? exitCodes.ok);
    });
  withExamples(penalty, [
    ['postern penalty list', 'everybody who waits longer at sign-in now'],
    ['postern penalty lift alice@example.org --reason "called the desk"', 'alice signs in without delay'],
    ['postern penalty lift --network 192.0.2.7 --reason "a school"', 'everybody from 192.0.2.0/24'],
  ]);
}

function penaltyTable(penalties: unknown): string {
  const rows = rowsIn(penalties).map((penalty) => {
    const { kind, user, network, refusals, delay_ms: delayMs, last_refusal: last, until } = penalty;
    return [
      // A name that was sealed under a server key that has gone cannot be told any more.
      kind === 'network' ? '(everybody)' : cell(user ?? '(unnamed)'),
      kind === 'user' ? '(everywhere)' : cell(network ?? '(unnamed)'),
      cell(refusals),
      `${Number(delayMs) / 1000} s`,
      timeOf(last),
      timeOf(until),
    ];
  });
  return table(['USER', 'NETWORK', 'WRONG', 'DELAY', 'LAST (UTC)', 'FORGOTTEN (UTC)'], rows);
}

function timeOf(time: unknown): string {
  return cell(time).slice(0, 19).replace('T', ' ');
}
