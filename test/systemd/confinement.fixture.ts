import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { runProgram, spawn, stopProgram } from '../programs.ts';
import { type NoticeSocket, startNoticeSocket } from './notice-socket.fixture.ts';

/*
 * Runs the unit's command as systemd would confine it, on a machine where systemd does not run: the folders, the
 * read-only file system, the private /tmp, /dev and /proc in a mount namespace; user, capabilities and no-new-privs by
 * setpriv; system calls, address families and namespaces by seccomp. Left out are PrivateUsers= and the cgroup's
 * device list.
 */

const checkout = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const deploy = join(checkout, 'deploy/systemd');
const unit = readFileSync(join(deploy, 'postern.service'), 'utf8');

/** A gateway of the unit, whose files the test sees under `root`. */
export interface ConfinedUnit extends AsyncDisposable {
  readonly pid: number;
  /** The file system of the gateway. */
  readonly root: string;
  readonly notices: NoticeSocket['notices'];
  log(): string;
  /** Runs a command beside the gateway, in its file system. */
  run(user: string, group: string, command: string): Promise<string>;
  /** Sends the gateway a signal. */
  signal(name: NodeJS.Signals): void;
  /** Resolves with the exit code. */
  readonly exited: Promise<number | null>;
}

/** The values of a key, in the unit or in a drop-in. */
function valuesOf(key: string, text = unit): readonly string[] {
  return [...text.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value = '']) => value);
}

/** The system calls of a set such as `@system-service`, those of the sets in it included. */
async function membersOf(name: string): Promise<readonly string[]> {
  if (!name.startsWith('@')) return [name];
  const said = await runProgram('systemd-analyze', ['syscall-filter', '--no-pager', name]);
  const names = [...said.matchAll(/^ {4}(@?[\w-]+)$/gm)].map(([, member = '']) => member);
  return (await Promise.all(names.map(membersOf))).flat();
}

/** The system calls that the unit allows, with those of a drop-in. */
async function allowedCalls(dropIn: string): Promise<ReadonlySet<string>> {
  const allowed = new Set<string>();
  for (const filter of [...valuesOf('SystemCallFilter'), ...valuesOf('SystemCallFilter', dropIn)]) {
    const isDenied = filter.startsWith('~');
    for (const set of filter.replace(/^~/, '').split(' ')) {
      for (const call of await membersOf(set)) {
        if (isDenied) allowed.delete(call);
        else allowed.add(call);
      }
    }
  }
  return allowed;
}

/** Takes the system calls away and becomes the command. clone3 hides its flags from a filter, so it is not there. */
const confine = `
import errno, os, seccomp, sys
rules = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
for call in os.environ.pop('CALLS').split():
    if call in ('socket', 'clone', 'clone3'):
        continue
    try:
        rules.add_rule(seccomp.ALLOW, call)
    except (RuntimeError, ValueError):
        pass
for family in os.environ.pop('FAMILIES').split():
    rules.add_rule(seccomp.ALLOW, 'socket', seccomp.Arg(0, seccomp.EQ, int(family)))
rules.add_rule(seccomp.ALLOW, 'clone', seccomp.Arg(0, seccomp.MASKED_EQ, 0x7E020080, 0))
rules.add_rule(seccomp.ERRNO(errno.ENOSYS), 'clone3')
rules.load()
os.execv(sys.argv[1], sys.argv[1:])
`;

const families: Readonly<Record<string, number>> = { AF_UNIX: 1, AF_INET: 2, AF_INET6: 10 };

const startMs = 60_000;

/** Builds the file system, and starts the command in it. */
const script = `set -euo pipefail
mount -t tmpfs tmpfs /mnt
mkdir /mnt/checkout /mnt/dev
mount --bind "$CHECKOUT" /mnt/checkout
overlay() {
  mkdir -p /mnt/over/$1/upper /mnt/over/$1/work
  mount -t overlay overlay -o lowerdir=/$1,upperdir=/mnt/over/$1/upper,workdir=/mnt/over/$1/work /$1
}
overlay etc
overlay var
mount -t tmpfs -o mode=755 tmpfs /run
systemd-sysusers /mnt/checkout/deploy/systemd/postern.sysusers
systemd-tmpfiles --create /mnt/checkout/deploy/systemd/postern.tmpfiles
install -d -o postern -g postern -m 0700 /var/cache/postern
for group in $GROUPS_TOO; do echo "$group:x:990:postern" >> /etc/group; done
chmod "$RUNTIME_MODE" /run/postern
install -o root -g postern -m 0640 "$FILES"/* /etc/postern
mkdir /run/systemd
mount --bind "$NOTICES" /run/systemd
for own in /var/lib/postern /var/log/postern /run/postern /var/cache/postern; do mount --bind $own $own; done
for node in null zero full random urandom tty; do touch /mnt/dev/$node; mount --bind /dev/$node /mnt/dev/$node; done
mount --rbind /mnt/dev /dev
awk '{ print $5 }' /proc/self/mountinfo | grep -vE '^/(proc|dev|var/lib/postern|var/log/postern|run/postern|var/cache/postern)' |
  while read -r at; do mount -o remount,bind,ro "$at" 2>/dev/null || true; done
for hidden in /home /root; do mount -t tmpfs -o ro tmpfs $hidden; done
for temporary in /tmp /var/tmp; do mount -t tmpfs -o mode=1777 tmpfs $temporary; done
mount -t proc -o hidepid=invisible,subset=pid proc /proc
cd /etc/postern
exec env -i PATH=/usr/bin:/bin NODE_ENV=production NODE_COMPILE_CACHE=/var/cache/postern NOTIFY_SOCKET=/run/systemd/notify \\
  CALLS="$CALLS" FAMILIES="$FAMILIES" \\
  setpriv --reuid=postern --regid=postern --init-groups --no-new-privs \\
  --bounding-set="$CAPABILITIES" --inh-caps="$CAPABILITIES" --ambient-caps="$CAPABILITIES" \\
  /usr/bin/python3 -c "$CONFINE" $COMMAND
`;

/** Starts the unit's command with these files in /etc/postern. `dropIn`: what it adds is added. */
export async function startConfined(files: Readonly<Record<string, string>>, dropIn?: string): Promise<ConfinedUnit> {
  await using opened = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'postern-confined-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  await mkdir(join(folder, 'files'));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, 'files', name), text);
  const socket = opened.use(await startNoticeSocket());
  const added = dropIn === undefined ? '' : readFileSync(join(deploy, dropIn), 'utf8');
  const capabilities = valuesOf('AmbientCapabilities', added).map(
    (name) => `+${name.replace('CAP_', '').toLowerCase()}`,
  );
  const [command = ''] = valuesOf('ExecStart');
  const child = spawn('unshare', ['--mount', '--propagation', 'private', 'bash', '-c', script], {
    env: {
      PATH: process.env['PATH'],
      CHECKOUT: checkout,
      FILES: join(folder, 'files'),
      NOTICES: dirname(socket.path),
      CALLS: [...(await allowedCalls(added))].join(' '),
      FAMILIES: valuesOf('RestrictAddressFamilies')
        .join(' ')
        .replace(/AF_\w+/g, (name) => String(families[name])),
      GROUPS_TOO: valuesOf('SupplementaryGroups', added).join(' '),
      RUNTIME_MODE: valuesOf('RuntimeDirectoryMode', `${unit}${added}`).at(-1) ?? '',
      CAPABILITIES: ['-all', ...capabilities].join(','),
      CONFINE: confine,
      COMMAND: command
        .replace('/usr/lib/postern/bin/node', process.execPath.replace(checkout, '/mnt/checkout'))
        .replace('/usr/lib/postern/bin/', '/mnt/checkout/bin/'),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { pid } = child;
  if (pid === undefined) throw new Error('unshare did not start');
  opened.defer(() => stopProgram(child));
  const ended = Promise.withResolvers<number | null>();
  child.once('exit', ended.resolve);
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (log += chunk.toString()));
  // It compiles everything: its cache is empty.
  const deadlineMs = performance.now() + startMs;
  while ((await socket.notices()).length === 0) {
    if (child.exitCode !== null) throw new Error(`the unit ended with ${child.exitCode}: ${log}`);
    if (performance.now() > deadlineMs) throw new Error(`the unit did not start: ${log}`);
    await pause(50);
  }
  const owned = opened.move();
  return {
    pid,
    root: `/proc/${pid}/root`,
    notices: () => socket.notices(),
    log: () => log,
    run: (user, group, text) =>
      runProgram('nsenter', [
        `--mount=/proc/${pid}/ns/mnt`,
        // Where the tests run in a root themselves, the namespace alone would lead out of it.
        `--root=/proc/${pid}/root`,
        `--wd=/proc/${pid}/root`,
        'setpriv',
        `--reuid=${user}`,
        `--regid=${group}`,
        '--clear-groups',
        '--no-new-privs',
        'bash',
        '-c',
        `postern() { ${process.execPath.replace(checkout, '/mnt/checkout')} /mnt/checkout/bin/postern.mjs "$@"; }\n${text}`,
      ]),
    signal: (name) => void process.kill(pid, name),
    exited: ended.promise,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
