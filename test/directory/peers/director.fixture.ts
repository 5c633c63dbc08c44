import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../ports.fixture.ts';
import { type RunningProgram, runProgram, startProgram } from '../../programs.ts';
import { temporaryDirectory } from '../directory.fixture.ts';

/** A real Dovecot 2.3 director of a test, with its doveadm HTTP API. */
export interface Director extends AsyncDisposable {
  readonly url: string;
  readonly apiKey: string;
  /** Runs `doveadm director …`. */
  director(...args: readonly string[]): Promise<string>;
  stop(): Promise<void>;
  start(): Promise<void>;
}

export async function startDirector(mailServers: readonly string[]): Promise<Director> {
  const folder = await temporaryDirectory();
  await chmod(folder.path, 0o755);
  const [ringPort, httpPort] = [await freePort(), await freePort()];
  const file = join(folder.path, 'dovecot.conf');
  for (const name of ['run', 'state']) await mkdir(join(folder.path, name));
  await writeFile(file, configuration(folder.path, mailServers, ringPort, httpPort));
  const director = (...args: readonly string[]): Promise<string> =>
    runProgram('doveadm', ['-c', file, 'director', ...args]);
  const launch = (): Promise<RunningProgram> =>
    startProgram('dovecot', ['-F', '-c', file], {
      isReady: async () => {
        const status = await director('status', 'ready@example.test');
        if (!/Hashed: \d/.test(status)) throw new Error(status);
      },
    });
  let running = await launch();
  const stop = async (): Promise<void> => {
    await running[Symbol.asyncDispose]();
  };
  return {
    url: `http://127.0.0.1:${httpPort}/doveadm/v1`,
    apiKey: 'api-key',
    director,
    stop,
    async start() {
      running = await launch();
    },
    async [Symbol.asyncDispose]() {
      await stop();
      await folder[Symbol.asyncDispose]();
    },
  };
}

function configuration(folder: string, mailServers: readonly string[], ringPort: number, httpPort: number): string {
  return `
base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = ${folder}/log
protocols =
ssl = no
director_servers = 127.0.0.1:${ringPort}
director_mail_servers = ${mailServers.join(' ')}
doveadm_api_key = api-key
service director {
  unix_listener director-admin {
    mode = 0666
  }
  inet_listener {
    address = 127.0.0.1
    port = ${ringPort}
  }
}
service doveadm {
  user = root
  inet_listener http {
    address = 127.0.0.1
    port = ${httpPort}
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
`;
}
