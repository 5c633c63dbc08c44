import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { spawn } from '../programs.ts';
import { root } from './pages.fixture.ts';

/*
 * Commands of the docs write to /etc, /var and /opt, and make users. So they run as root in a mount namespace of their
 * own, in which these folders lie under an overlay: what they change is gone with it. The checkout is /opt/postern.
 */

/** The folders that commands may change. */
const changeable = ['/etc', '/var', '/usr/local', '/opt', '/root', '/run', '/srv', '/home'];

/** The lines of bash that put the overlays there; `$CHECKOUT` is the project. */
export const overlays = `set -uo pipefail
export HOME=/root
mount -t tmpfs tmpfs /mnt
overlay() { # LOWER AT
  local kept=/mnt/\${2//\\//-}
  mkdir -p $kept/upper $kept/work && mount -t overlay overlay -o lowerdir=$1,upperdir=$kept/upper,workdir=$kept/work "$2"
}
for folder in ${changeable.join(' ')}; do overlay $folder $folder || exit 1; done
mkdir -p /opt/postern
overlay "$CHECKOUT" /opt/postern || exit 1
ln -s /opt/postern/bin/postern.mjs /usr/local/bin/postern
export PATH=/opt/postern/node_modules/.bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
`;

/** How a script in the sandbox ended. */
export interface SandboxEnd {
  readonly code: number;
  readonly said: string;
  /** Reads a file that the script wrote to `$OUT`; empty if there is none. */
  readonly read: (name: string) => Promise<string>;
}

export interface SandboxOptions {
  /** By absolute path, which must be in a folder that commands may change. */
  readonly files?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

/** Runs a bash script as root where nothing that it changes stays; what it started ends with it. */
export async function runInSandbox<Result>(
  script: string,
  { files = {}, env = {}, timeoutMs = 120_000 }: SandboxOptions,
  judge: (end: SandboxEnd) => Promise<Result>,
): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-sandbox-'));
  const out = join(folder, 'out');
  try {
    await mkdir(out);
    for (const [path, content] of Object.entries(files)) {
      const copy = join(folder, 'files', path);
      await mkdir(dirname(copy), { recursive: true });
      await writeFile(copy, content);
    }
    const copied = Object.keys(files).length === 0 ? '' : `cp -rT --preserve=mode "${folder}/files" /\n`;
    await writeFile(join(folder, 'script'), overlays + copied + script);
    const child = spawn('unshare', ['--mount', '--propagation', 'private', 'bash', join(folder, 'script')], {
      env: { ...env, OUT: out, CHECKOUT: root.replace(/\/$/, ''), LANG: 'C.UTF-8' },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    });
    const { promise, resolve } = Promise.withResolvers<number>();
    child.once('exit', (code) => resolve(code ?? -1));
    const output = Promise.all([text(child.stdout), text(child.stderr)]);
    const code = await promise;
    // The group: a server that the script left behind would keep the pipes open.
    if (child.pid !== undefined) endGroup(child.pid);
    const said = (await output).join('');
    return await judge({ code, said, read: (name) => readFile(join(out, name), 'utf8').catch(() => '') });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nothing is left of it.
  }
}
