import type { Command } from 'commander';
import { type ApiReply, cell, openApi, refusalCode, rowsIn } from './api-client.ts';
import type { CommandEnvironment } from './environment.ts';
import {
  configOption,
  type ExitCode,
  exitCodes,
  type Format,
  formatOption,
  type ListFormat,
  listFormatOption,
  reasonOption,
  withExamples,
} from './options.ts';
import { json, listText, timeCell } from './output.ts';

/** `postern staff`: who is staff, and their second factors. */
export function addStaff(program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const { print, complain } = environment;

  /** Prints a reply, or what is wrong with it. */
  function finish(reply: ApiReply, text: () => string): void {
    const refused = refusalCode(reply, complain);
    if (refused === undefined) print(text());
    end(refused ?? exitCodes.ok);
  }

  const staff = program.command('staff').summary('list staff, give out or reset second factors');
  staff
    .command('list')
    .summary('list everybody with a role in the configuration or with a second factor')
    .addOption(configOption())
    .addOption(listFormatOption())
    .action(async ({ config, format }: { config: string; format: ListFormat }) => {
      const ask = await openApi(config, environment);
      const reply = await ask('GET', '/staff');
      finish(reply, () => listText({ ...staffList(reply.body['staff']), body: reply.body }, format, environment));
    });
  staff
    .command('enrol')
    .summary('make the one-time code with which a member of staff sets up the second factor')
    .argument('<user>', 'the mailbox of the member of staff')
    .addOption(configOption())
    .action(async (user: string, { config }: { config: string }) => {
      const ask = await openApi(config, environment);
      const reply = await ask('POST', `/staff/${encodeURIComponent(user)}/enrolment`, {});
      finish(reply, () => invitation(reply.body));
    });
  staff
    .command('reset')
    .summary('remove the second factor and end the console sessions')
    .argument('<user>', 'the mailbox of the member of staff')
    .addOption(reasonOption())
    .addOption(configOption())
    .action(async (user: string, { config, reason }: { config: string; reason: string }) => {
      const ask = await openApi(config, environment);
      const reply = await ask('DELETE', `/staff/${encodeURIComponent(user)}/enrolment`, { reason });
      finish(
        reply,
        () =>
          `${cell(reply.body['user'])} has no second factor any more, and cannot use the console until a new one is set up.\n`,
      );
    });
  withExamples(staff, [
    ['postern staff enrol sam@example.org', 'print a code for sam: usable once, within a day'],
    ['postern staff reset sam@example.org --reason "lost phone"', 'then enrol again'],
  ]);
}

/** `postern console`: a way into the operators' console for sites without staff accounts. */
export function addConsole(program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const { print, complain } = environment;
  const command = program
    .command('console')
    .summary('print a link that opens the operators’ console once')
    .requiredOption('--link', 'make the link, over the operators’ socket')
    .addOption(configOption())
    .addOption(formatOption())
    .action(async ({ config, format }: { config: string; format: Format }) => {
      const ask = await openApi(config, environment);
      const reply = await ask('POST', '/console/link', {});
      const refused = refusalCode(reply, complain);
      if (refused === undefined) {
        const { link, until } = reply.body;
        const text = `${cell(link)}\nOpens the console as an operator, once, until ${cell(until)}. Give it to nobody else.\n`;
        print(format === 'json' ? json(reply.body) : text);
      }
      end(refused ?? exitCodes.ok);
    });
  withExamples(command, [['postern console --link', 'then open the link in a browser within two minutes']]);
}

function invitation({ user, code, until, console: address }: ApiReply['body']): string {
  return (
    `One-time code for ${cell(user)}: ${cell(code)}\n` +
    `Usable once, until ${cell(until)}, at ${cell(address)} after signing in with the mailbox password. Give it to nobody else.\n`
  );
}

function staffList(staff: unknown) {
  const rows = rowsIn(staff).map((one) => [
    cell(one['user']),
    wordsOf(one['roles']),
    wordsOf(one['domains']),
    cell(one['second_factor']),
    timeCell(one['since']),
  ]);
  return { headings: ['STAFF', 'ROLES', 'DOMAINS', 'SECOND FACTOR', 'SINCE'], rows };
}

function wordsOf(value: unknown): string {
  return Array.isArray(value) ? value.join(' ') : '-';
}
