import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { spawnSync } from '../test/programs.ts';

/** The programs with the arguments that print their version. */
const programs = [
  ['nginx', '-v'],
  ['haproxy', '-v'],
  ['caddy', 'version'],
  ['redis-server', '--version'],
  ['dovecot', '--version'],
  ['wrk', '-v'],
] as const;

/** The machine, the versions and the day, as a list for the report. */
export function machineFacts(): readonly string[] {
  const system = /^PRETTY_NAME="(.*)"/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux';
  const versions = programs.map(([program, option]) => versionOf(program, option));
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  return [
    `Machine: ${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${memory}, ${system}, Linux ${release()}; everything on loopback.`,
    `Versions: Node ${process.version.slice(1)}, undici ${packageVersion('undici')}, express ${packageVersion('express')}, http-proxy ${packageVersion('http-proxy')}, ${versions.join(', ')}.`,
    `Date: ${new Date().toISOString().slice(0, 10)}.`,
  ];
}

function packageVersion(name: string): string {
  const text = readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url), 'utf8');
  const { version }: { version: string } = JSON.parse(text);
  return version;
}

/** The version of a program. Some print it on standard error, and wrk exits with status 1. */
function versionOf(program: string, option: string): string {
  const { stdout, stderr } = spawnSync(program, [option], { encoding: 'utf8' });
  const said = stdout + stderr;
  return `${program} ${/\d+\.\d+(?:\.\d+)*/.exec(said)?.[0] ?? 'of unknown version'}`;
}
