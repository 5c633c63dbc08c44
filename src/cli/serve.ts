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
  { signals, exit, notify = async () => {} }: Pick<CommandEnvironment, 'signals' | 'exit' | 'notify'>,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let isEnding = false;
  const onEnd = () => {
    if (isEnding) return exit(exitCodes.ok);
    isEnding = true;
    void notify('STOPPING=1', 'STATUS=Draining: open requests finish');
    starting.then((gateway) => gateway.close()).then(resolve, reject);
  };
  const onReload = () => {
    starting.then(reload).catch(reject);
  };
  const reload = async (gateway: RunningGateway): Promise<void> => {
    if (isEnding) return;
    const startedUs = process.hrtime.bigint() / 1000n;
    void notify('RELOADING=1', `MONOTONIC_USEC=${startedUs}`, 'STATUS=Reloading the configuration');
    const isActive = await gateway.reload();
    if (!isEnding)
      void notify('READY=1', `STATUS=${isActive ? 'Serving' : 'Serving; the reload was refused, see the log'}`);
  };
  starting.then(() => {
    if (!isEnding) void notify('READY=1', 'STATUS=Serving');
  }, reject);
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
