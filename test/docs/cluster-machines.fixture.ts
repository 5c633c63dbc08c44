import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { spawn, stopProgram } from '../programs.ts';
import { root } from './pages.fixture.ts';
import { overlays } from './sandbox.fixture.ts';

/*
 * The machines of docs/first-cluster.md, all on this one: each is a mount namespace with overlays over what may change.
 * They share loopback, so each has an address of its own there.
 */

/** What the sandbox has in place of systemd, of ssh between the machines, and of apt: the tests' packages are there. */
const standIns: Readonly<Record<string, string>> = {
  'apt-get': `#!/bin/bash
for name; do [[ $name = -* || $name = install ]] || dpkg-query --show "$name" || exit 1; done
`,
  systemctl: `#!/bin/bash
verb=$1; shift; [ "$1" = --now ] && shift
ready() { grep -q "$1" "/var/log/$unit.unit"; }
for unit; do
  name=\${unit//[*]/}
  pid=/run/$name.unit; log=/var/log/$name.unit
  if [ "$verb" != start ] && [ -s $pid ]; then
    kill -TERM $(cat $pid); while kill -0 $(cat $pid) 2>/dev/null; do sleep 0.1; done; rm -f $pid
  fi
  [ "$verb" = stop ] && continue
  case $name in
    dovecot) start='dovecot -F'; probe='[ -S /run/dovecot/login/imap ] && [ -S /run/dovecot/auth-client ]' ;;
    nginx) start='nginx -g "daemon off;"'; probe='[ -s /run/nginx.pid ]' ;;
    php-fpm) mkdir -p /run/php; start="$(ls /usr/sbin/php-fpm* | tail -1) -F"; probe='ls /run/php/php*-fpm.sock' ;;
    redis-server) start='redis-server /etc/redis/redis.conf --daemonize no --supervised no --logfile ""'
      probe="grep -q 'Ready to accept' $log" ;;
    haproxy) start='haproxy -W -db -f /etc/haproxy/haproxy.cfg'; probe='sleep 0.5' ;;
    postern) mkdir -p /run/postern /var/log/postern; chown postern: /run/postern /var/log/postern
      start='setpriv --reuid postern --regid postern --init-groups postern serve'
      probe="grep -q '\\"event\\":\\"ready\\"' $log" ;;
    *) echo "there is no unit $unit" >&2; exit 5 ;;
  esac
  bash -c "exec $start" > $log 2>&1 < /dev/null & echo $! > $pid
  for i in $(seq 300); do
    eval "$probe" > /dev/null 2>&1 && break
    kill -0 $(cat $pid) 2>/dev/null || { cat $log >&2; exit 1; }
    [ $i = 300 ] && { cat $log >&2; exit 1; }
    sleep 0.1
  done
done
`,
  scp: `#!/bin/bash
names=("$@"); to=\${names[-1]}; unset 'names[-1]'
for name in "\${names[@]}"; do cp --preserve=mode "/proc/$(cat "$ALL/\${name%%:*}.pid")/root\${name#*:}" "$to" || exit 1; done
`,
};

/** What the Debian package brings. */
const packageOfPostern = 'useradd --system postern; install -d -o postern -g postern -m 0750 /var/lib/postern\n';

/** Runs scripts whose names come on standard input, one a line; ends all that was started when that closes. */
const loop = `
echo $$ > "$ALL/$MACHINE.pid"
echo up
while read -r script; do
  bash "$script" > "$script.said" 2>&1 < /dev/null
  echo $?
done
here=$(readlink /proc/self/ns/mnt)
for process in /proc/[0-9]*; do
  pid=\${process#/proc/}
  [ $pid != $$ ] && [ "$(readlink $process/ns/mnt 2>/dev/null)" = "$here" ] && kill -KILL $pid 2>/dev/null
done
exit 0
`;

export interface Machine {
  /** Runs a script of bash there. Rejects with its output if it fails. */
  run(script: string): Promise<string>;
}

/** Machines by their names. */
export interface Machines extends AsyncDisposable {
  readonly named: ReadonlyMap<string, Machine>;
}

/** Starts machines; `/opt/postern` on each of them is the project. */
export async function startMachines(names: readonly string[]): Promise<Machines> {
  await using opened = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'postern-cluster-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  // All nodes share what Node compiles, whoever runs them.
  const compiled = join(folder, 'compiled');
  await mkdir(compiled);
  for (const open of [folder, compiled]) await chmod(open, 0o777);
  const named = new Map<string, Machine>();
  for (const name of names) named.set(name, await startMachine(name, folder, opened));
  const owned = opened.move();
  return { named, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function startMachine(name: string, folder: string, opened: AsyncDisposableStack): Promise<Machine> {
  const brought = Object.entries(standIns).map(
    ([program, text]) =>
      `cat > /usr/local/bin/${program} <<'STAND-IN'\n${text}STAND-IN\nchmod 755 /usr/local/bin/${program}\n`,
  );
  const script = join(folder, `${name}.machine`);
  await writeFile(script, overlays + brought.join('') + packageOfPostern + loop);
  const child = spawn('unshare', ['--mount', '--propagation', 'private', 'bash', script], {
    env: {
      ALL: folder,
      NODE_COMPILE_CACHE: join(folder, 'compiled'),
      MACHINE: name,
      CHECKOUT: root.replace(/\/$/, ''),
      LANG: 'C.UTF-8',
      DEBIAN_FRONTEND: 'noninteractive',
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  opened.defer(async () => {
    const gone = once(child, 'exit');
    child.stdin.end();
    await Promise.race([gone, once(AbortSignal.timeout(10_000), 'abort')]);
    await stopProgram(child, 'SIGKILL');
  });
  const answers = createInterface(child.stdout)[Symbol.asyncIterator]();
  const { value: first } = await answers.next();
  if (first !== 'up') throw new Error(`the machine ${name} did not start`);
  let count = 0;
  return {
    async run(text) {
      count += 1;
      const file = join(folder, `${name}.${count}`);
      await writeFile(file, text);
      child.stdin.write(`${file}\n`);
      const { value: code } = await answers.next();
      const said = await readFile(`${file}.said`, 'utf8').catch(() => '');
      if (code !== '0') throw new Error(`on ${name}, ended with ${code}:\n${text}\n${said}`);
      return said;
    },
  };
}
