import type { Command } from 'commander';
import { collectAfterStart } from '../core/garbage-collection.ts';
import type { RunningGateway, CommandEnvironment } from './environment.ts';
import { configOption, type ExitCode, exitCodes, withExamples } from './options.ts';

/** `postern serve`: the gateway itself, in the foreground, until a signal ends it. */
export function addServe(program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const command = program
    .command('serve')
    .summary('run the gateway')
    .description(
      'Runs the gateway in the foreground and logs to standard output.\n' +
        'SIGHUP reloads the configuration, as a whole or not at all. SIGTERM and SIGINT finish open requests, then ' +
        'exit; a second one exits at once.',
    )
    .addOption(configOption())
    .action(async ({ config }: { config: string }) => {
      const { startGateway } = await environment.loadGateway();
      const starting = startGateway({ configFile: config });
      starting.then(collectAfterStart, () => undefined);
      await serveUntilSignal(starting, environment);
      end(exitCodes.ok);
    });
  withExamples(command, [
    ['postern serve -c postern.yaml', 'run with this configuration'],
    ['kill -HUP PID', 'reload a changed configuration'],
  ]);
}

/**
 * Resolves when the gateway has closed. A second SIGTERM or SIGINT exits at once. A signal during the start takes
 * effect after it: a supervisor that reads the line about readiness may send one at once.
 */
export async function serveUntilSignal(
  starting: Promise<RunningGateway>,
  { signals, exit }: Pick<CommandEnvironment, 'signals' | 'exit'>,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let isEnding = false;
  const onEnd = () => {
    if (isEnding) return exit(exitCodes.ok);
    isEnding = true;
    starting.then((gateway) => gateway.close()).then(resolve, reject);
  };
  const onReload = () => {
    starting.then((gateway) => gateway.reload()).catch(reject);
  };
  starting.catch(reject);
  signals.on('SIGTERM', onEnd);
  signals.on('SIGINT', onEnd);
  signals.on('SIGHUP', onReload);
  try {
    await promise;
  } finally {
    signals.off('SIGTERM', onEnd);
    signals.off('SIGINT', onEnd);
    signals.off('SIGHUP', onReload);
  }
}
