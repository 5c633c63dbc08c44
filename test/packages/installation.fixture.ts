import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { DemoBackends } from '../../demo/backends.ts';
import { writeConfiguration } from '../../demo/configuration.ts';
import { people } from '../../demo/people.ts';
import { type DebianRoot, type DebianRelease, debianRoot } from '../debian-root.fixture.ts';
import { connects, type RunningProgram } from '../programs.ts';

/** A clean Debian with the package, or about to get it. */
export interface Installation extends AsyncDisposable {
  readonly root: DebianRoot;
  /** Installs a package file as an administrator does. Resolves with what apt and the package say. */
  install(deb: string): Promise<string>;
  /** Runs /usr/bin/postern as root, or as another user. */
  postern(args: readonly string[], user?: string): Promise<string>;
  /** Makes a configuration by `postern init`, for these backends. Resolves with what init says. */
  configure(backends: DemoBackends, port: number): Promise<string>;
  /** Starts the gateway as the unit says: its command line, its environment, its user. */
  start(port: number): Promise<RunningProgram>;
  /** The names of all files, but those in which apt and dpkg keep what they did. */
  files(): Promise<readonly string[]>;
}

/** What package managers and the making of users write down, whatever they install. */
const kept =
  /^\/(?:var\/(?:lib\/(?:dpkg|apt)|cache|log\/(?:apt|dpkg\.log|alternatives\.log))|etc\/(?:passwd-|group-|shadow-|gshadow-|subuid-|subgid-|\.pwd\.lock)|run\/adduser|tmp)(?:\/|$)/;

export async function openInstallation(release: DebianRelease): Promise<Installation> {
  const root = await debianRoot(release);
  const at = (path: string): string => join(root.path, path);
  return {
    root,
    async install(deb) {
      const inside = `/tmp/${basename(deb)}`;
      const args = ['install', '-qqy', '--no-install-recommends', inside];
      return root.run('apt-get', args, { mounts: { [deb]: inside }, timeoutMs: 120_000 });
    },
    postern: (args, user) => root.run('postern', args, user === undefined ? {} : { user }),
    async configure(backends, port) {
      const places = backends.all.flatMap(({ name, imap, webmail }) => [
        '--backend',
        `${name}=imaps://127.0.0.1:${imap.port},${webmail.origin}/`,
      ]);
      await writeFile(at('etc/postern/ca.crt'), backends.certificate);
      const address = `127.0.0.1:${port}`;
      const site = ['--public-url', `http://${address}`, '--listen', address, '--domain', 'example.test', ...places];
      const output = ['--output', '/etc/postern/postern.yaml'];
      const said = await root.run('postern', ['init', ...output, '--driver', 'form', '--ca', 'ca.crt', ...site]);
      await adapt(at('etc/postern'), backends, port);
      return said;
    },
    async start(port) {
      const unit = await readFile(at('usr/lib/systemd/system/postern.service'), 'utf8');
      const value = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(unit)?.[1] ?? '';
      const environment = value('Environment').replaceAll('%C', '/var/cache').split(' ');
      const command = ['env', `--chdir=${value('WorkingDirectory')}`, ...environment, ...value('ExecStart').split(' ')];
      const [program = '', ...args] = command;
      return root.start(program, args, {
        isReady: () => connects(port),
        user: `${value('User')}:${value('Group')}`,
      });
    },
    async files() {
      // Of the root alone: no links are followed, and /proc, /sys and /dev are other file systems.
      const all = (await root.run('find', ['/', '-xdev'])).trim().split('\n');
      return all.filter((name) => !kept.test(name)).toSorted();
    },
    [Symbol.asyncDispose]: () => root[Symbol.asyncDispose](),
  };
}

/** Does what init leaves to the operator: the users, and the webmail's own form, which is the demo's here. */
async function adapt(folder: string, backends: DemoBackends, port: number): Promise<void> {
  await writeFile(join(folder, 'users.map'), people.map(({ address, backend }) => `${address}: ${backend}\n`).join(''));
  const scratch = await mkdtemp(join(tmpdir(), 'postern-form-'));
  const demo = await readFile(await writeConfiguration(backends, { directory: scratch, port }), 'utf8');
  await rm(scratch, { recursive: true });
  const form = /^ {2}form:\n(?: {4}.*\n)+/m;
  const [ofDemo = ''] = form.exec(demo) ?? [];
  const file = join(folder, 'postern.yaml');
  const text = await readFile(file, 'utf8');
  const adapted = text.replace(form, ofDemo).replace('127.0.0.1:9090', '127.0.0.1:0');
  await writeFile(file, `${adapted}shutdown: { delay: 0s, deadline: 3s }\n`);
}
