import type { Command } from 'commander';
import { isObject } from '../core/objects.ts';
import { deviceName } from '../core/text.ts';
import { type ApiReply, cell, openApi, refusalCode, rowsIn } from './api-client.ts';
import type { CommandEnvironment } from './environment.ts';
import {
  configOption,
  type ExitCode,
  exitCodes,
  type Format,
  formatOption,
  reasonOption,
  withExamples,
} from './options.ts';
import { json, table } from './output.ts';

interface ListOptions {
  readonly config: string;
  readonly format: Format;
  readonly user?: string;
  readonly backend?: string;
  readonly address?: string;
}

interface EndOptions extends Omit<ListOptions, 'format'> {
  readonly reason: string;
}

/** `postern session`, `who` and `kick`: who is signed in, on all nodes, and ending it. */
export function addSessions(program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const { print, complain } = environment;

  /** Prints a reply, or what is wrong with it. */
  function finish(reply: ApiReply, text: () => string): void {
    const refused = refusalCode(reply, complain);
    if (refused === undefined) print(text());
    end(refused ?? exitCodes.ok);
  }

  const parts: SessionCommandParts = { environment, finish, end };
  addSession(program, parts);
  addWho(program, parts);
  addKick(program, parts);
}

interface SessionCommandParts {
  readonly environment: CommandEnvironment;
  /** Prints a reply, or what is wrong with it, and ends the command. */
  readonly finish: (reply: ApiReply, text: () => string) => void;
  readonly end: (code: ExitCode) => void;
}

function addSession(program: Command, { environment, finish, end }: SessionCommandParts): void {
  const session = program.command('session').summary('list and end sessions');
  session
    .command('list')
    .summary('list the sessions of all nodes')
    .option('--user <user>', 'of this user')
    .option('--backend <name>', 'on this backend')
    .option('--address <address>', 'from this client address')
    .addOption(configOption())
    .addOption(formatOption())
    .action(async ({ config, format, ...wanted }: ListOptions) => {
      const ask = await openApi(config, environment);
      const reply = await ask('GET', `/sessions?${new URLSearchParams(wanted).toString()}`);
      finish(reply, () => (format === 'json' ? json(reply.body) : sessionTable(reply.body['sessions'])));
    });
  session
    .command('end')
    .summary('end one session, or all that match, on all nodes within a second')
    .argument('[session]', 'the id from `postern session list`')
    .option('--user <user>', 'of this user')
    .option('--backend <name>', 'on this backend')
    .option('--address <address>', 'from this client address')
    .addOption(reasonOption())
    .addOption(configOption())
    .action(async (id: string | undefined, { config, reason, ...wanted }: EndOptions) => {
      if ((id === undefined) === (Object.keys(wanted).length === 0)) {
        environment.complain('say which sessions to end: the id of one, or --user, --backend or --address\n');
        return end(exitCodes.invalid);
      }
      const ask = await openApi(config, environment);
      const which = id === undefined ? `?${new URLSearchParams(wanted).toString()}` : `/${encodeURIComponent(id)}`;
      const reply = await ask('DELETE', `/sessions${which}`, { reason });
      finish(reply, () => (id === undefined ? `Sessions ended: ${cell(reply.body['ended'])}.\n` : 'Ended.\n'));
    });
  withExamples(session, [
    ['postern session list --backend a', 'sessions on backend a'],
    ['postern session end 3Qf… --reason "lost laptop"', 'end this session'],
    ['postern session end --address 192.0.2.7 --reason abused', 'end all sessions from this address'],
  ]);
}

function addWho(program: Command, { environment, finish }: SessionCommandParts): void {
  const who = program
    .command('who')
    .summary('show the backend and sessions of a user')
    .argument('<user>', 'a user name, as typed at sign-in')
    .addOption(configOption())
    .addOption(formatOption())
    .action(async (user: string, { config, format }: { config: string; format: Format }) => {
      const ask = await openApi(config, environment);
      const reply = await ask('GET', `/users/${encodeURIComponent(user)}`);
      finish(reply, () => (format === 'json' ? json(reply.body) : describeUser(reply.body)));
    });
  withExamples(who, [['postern who alice@example.org', 'backend, move if there is one, and sessions']]);
}

function addKick(program: Command, { environment, finish }: SessionCommandParts): void {
  const kick = program
    .command('kick')
    .summary('end all sessions of a user, on all nodes within a second')
    .argument('<user>', 'a user name, as typed at sign-in')
    .addOption(reasonOption())
    .addOption(configOption())
    .action(async (user: string, { config, reason }: { config: string; reason: string }) => {
      const ask = await openApi(config, environment);
      const reply = await ask('DELETE', `/users/${encodeURIComponent(user)}/sessions`, { reason });
      finish(reply, () => {
        const { user: ofWhom, ended } = reply.body;
        return ended === 0
          ? `${cell(ofWhom)} has no open sessions.\n`
          : `Sessions of ${cell(ofWhom)} ended: ${cell(ended)}.\n`;
      });
    });
  withExamples(kick, [['postern kick alice@example.org --reason "account abused"', 'alice must sign in again']]);
}

function sessionTable(sessions: unknown): string {
  const rows = rowsIn(sessions).map((session) => {
    const facts = ['id', 'user', 'host', 'address'].map((name) => cell(session[name]));
    const browser = cell(session['user_agent']);
    const times = [session['since'], session['last_use']].map(minuteOf);
    return [...facts, ...times, deviceName(browser) ?? browser];
  });
  return table(['SESSION', 'USER', 'HOST', 'ADDRESS', 'SINCE (UTC)', 'LAST USE (UTC)', 'BROWSER'], rows);
}

/** A time of the API to the minute, as the console shows it. */
function minuteOf(time: unknown): string {
  return cell(time).slice(0, 16).replace('T', ' ');
}

function describeUser(body: Readonly<Record<string, unknown>>): string {
  const { user, backend, overridden, move, sessions } = body;
  const how = overridden === true ? ' (moved there by an operator; the directory may differ)' : '';
  const moved = isObject(move) ? `Move: ${cell(move['explanation'])}.\n` : '';
  return `${cell(user)} lives on ${cell(backend)}${how}.\n${moved}${sessionTable(sessions)}`;
}
