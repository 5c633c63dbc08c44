import type { Command } from 'commander';
import { openApi, refusalCode } from './api-client.ts';
import { exitCodes, type ExitCode } from './exit-codes.ts';
import { configOption, reasonWhereNeeded, withExamples } from './options.ts';
import type { Surroundings } from './surroundings.ts';

/** `postern drain`: takes this node out of what load balancers send to, while it serves on. */
export function addDrain(program: Command, surroundings: Surroundings, end: (code: ExitCode) => void): void {
  const { print, complain } = surroundings;
  const command = program
    .command('drain')
    .summary('have load balancers send nothing new to this node')
    .description(
      'The node of this configuration says 503 at /-/ready and weight 0 to agents, and serves on whatever comes. So it ' +
        'stays until --undo, or until it is started again. SIGTERM drains and ends it.',
    )
    .option('--undo', 'take requests again')
    .addOption(reasonWhereNeeded())
    .addOption(configOption())
    .action(async ({ config, undo, ...given }: { config: string; reason?: string; undo?: true }) => {
      const reason = given.reason ?? (undo === true ? 'the drain is taken back' : undefined);
      if (reason === undefined) {
        complain('say why this node drains: --reason WORDS goes into the audit; only --undo needs none\n');
        return end(exitCodes.invalid);
      }
      const ask = await openApi(config, surroundings);
      const reply = await ask('PUT', '/node/state', { state: undo === true ? 'READY' : 'DRAIN', reason });
      const refused = refusalCode(reply, complain);
      if (refused !== undefined) return end(refused);
      print(
        undo === true
          ? 'This node takes requests again.\n'
          : 'Draining: existing requests go on, load balancers send no new ones. Undo with --undo.\n',
      );
      end(exitCodes.ok);
    });
  withExamples(command, [
    ['postern drain --reason "new kernel"', 'before this machine is stopped'],
    ['postern drain --undo', 'back into service'],
  ]);
}
