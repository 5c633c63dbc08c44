import type { Command } from 'commander';
import { loadConfig } from '../config/load.ts';
import { silentLog } from '../core/log.ts';
import { createLoginNameParser } from '../core/names.ts';
import { operatorName } from './api-client.ts';
import { type ExitCode, exitCodes, exitCodesHelp } from './exit-codes.ts';
import { configOption, withExamples } from './options.ts';
import type { Surroundings } from './surroundings.ts';

/** `postern directory drop`: makes every node ask the sources anew for a user. */
export function addDirectoryDrop(directory: Command, surroundings: Surroundings, end: (code: ExitCode) => void): void {
  const command = directory
    .command('drop')
    .summary('make all nodes forget a user’s remembered home')
    .description(
      'Tells all nodes, through the store that they share, to forget what they remember of a user, under all names that ' +
        'lead to that user. Within a second the next lookup asks the sources, and open sessions follow where the answer is another.',
    )
    .argument('<user...>', 'user names, as a person would type them')
    .addOption(configOption())
    .action(async (users: string[], { config: file }: { config: string }) => {
      const config = await loadConfig(file, { env: surroundings.env });
      const parse = createLoginNameParser(config.directory.nameRules);
      const names: string[] = [];
      for (const typed of users) {
        const parsed = parse(typed);
        if (parsed.kind === 'malformed') {
          surroundings.complain(`${JSON.stringify(typed)} can be no user: ${parsed.why}.\n`);
          return end(exitCodes.invalid);
        }
        names.push(parsed.name);
      }
      const { forgetHomeEverywhere } = await surroundings.loadGateway();
      for (const name of names) {
        await forgetHomeEverywhere(config, name, `${operatorName()} (command)`, silentLog);
        surroundings.print(`All nodes ask anew for ${name}.\n`);
      }
      end(exitCodes.ok);
    });
  withExamples(command, [
    ['postern directory drop alice@example.org', 'her home has changed in LDAP just now'],
    ['postern directory drop alice bob', 'they left a backend that was down, and go home now that it is back'],
  ]).addHelpText('after', `\n3: the store could not be asked.\n${exitCodesHelp}`);
}
