import type { Command } from 'commander';
import { defined } from '../core/objects.ts';
import { cell, openApi, queryText, refusalCode, rowsIn } from './api-client.ts';
import type { CommandEnvironment } from './environment.ts';
import {
  configOption,
  type ExitCode,
  exitCodes,
  type ListFormat,
  listFormatOption,
  reasonOption,
  wholeNumber,
  withExamples,
} from './options.ts';
import { listText, table, timeCell } from './output.ts';

interface PenaltyListOptions {
  readonly config: string;
  readonly format: ListFormat;
  readonly user?: string;
  readonly domain?: string;
  readonly network?: string;
  readonly all?: true;
  readonly limit?: number;
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
    .addOption(wholeNumber('--limit <number>', 'show at most so many, up to 1000').default(100))
    .addOption(configOption())
    .addOption(listFormatOption())
    .action(async ({ config, format, all, ...wanted }: PenaltyListOptions) => {
      const ask = await openApi(config, environment);
      const query = { ...wanted, ...defined({ without_delay: all === true ? 'true' : undefined }) };
      const reply = await ask('GET', `/penalties?${queryText(query)}`);
      const refused = refusalCode(reply, environment.complain);
      if (refused === undefined) {
        const { penalties, next } = reply.body;
        const note = next === undefined ? undefined : 'There are more: raise --limit, or name a user or a network.';
        environment.print(listText({ ...penaltyList(penalties), body: reply.body, note }, format, environment));
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
      const reply = await ask('DELETE', `/penalties?${queryText(defined({ user, network }))}`, { reason });
      const refused = refusalCode(reply, environment.complain);
      if (refused === undefined) {
        const { headings, rows } = penaltyList(reply.body['penalties']);
        environment.print(`Lifted.\n${table(headings, rows)}`);
      }
      end(refused ?? exitCodes.ok);
    });
  withExamples(penalty, [
    ['postern penalty list', 'everybody who waits longer at sign-in now'],
    ['postern penalty lift alice@example.org --reason "called the desk"', 'alice signs in without delay'],
    ['postern penalty lift --network 192.0.2.7 --reason "a school"', 'everybody from 192.0.2.0/24'],
  ]);
}

function penaltyList(penalties: unknown) {
  const rows = rowsIn(penalties).map((penalty) => {
    const { kind, user, network, refusals, delay_ms: delayMs, last_refusal: last, until } = penalty;
    return [
      // A name that was sealed under a server key that has gone cannot be told any more.
      kind === 'network' ? '(everybody)' : cell(user ?? '(unnamed)'),
      kind === 'user' ? '(everywhere)' : cell(network ?? '(unnamed)'),
      cell(refusals),
      { shown: `${Number(delayMs) / 1000} s`, value: Number(delayMs) },
      timeCell(last),
      timeCell(until),
    ];
  });
  return { headings: ['USER', 'NETWORK', 'WRONG', 'DELAY', 'LAST', 'FORGOTTEN'], rows };
}
