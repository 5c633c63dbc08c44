import { type Command, Option } from 'commander';
import { isObject } from '../core/objects.ts';
import { cell, openApi, refusalCode, rowsIn } from './api-client.ts';
import type { CommandEnvironment } from './environment.ts';
import {
  configOption,
  type ExitCode,
  exitCodes,
  type ListFormat,
  listFormatOption,
  reasonOption,
  reasonWhereNeeded,
  textsByLanguage,
  textsOption,
  withExamples,
} from './options.ts';
import { listText, stateCell } from './output.ts';

interface SetOptions {
  readonly config: string;
  readonly reason: string;
  readonly until?: string;
  readonly percent?: number;
  readonly text?: readonly string[];
  readonly host?: true;
}

/** `postern backend`: the states of backends and hosts, and which host serves. */
export function addBackend(program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const { print, complain } = environment;
  const backend = program.command('backend').summary('list backends, set their states, choose the active host');

  backend
    .command('list')
    .summary('list all backends with their hosts, states and health')
    .addOption(configOption())
    .addOption(listFormatOption())
    .action(async ({ config, format }: { config: string; format: ListFormat }) => {
      const ask = await openApi(config, environment);
      const reply = await ask('GET', '/backends');
      const refused = refusalCode(reply, complain);
      if (refused !== undefined) return end(refused);
      print(listText({ ...backendList(reply.body), body: reply.body }, format, environment));
      end(exitCodes.ok);
    });

  backend
    .command('set')
    .summary('set a backend or host to READY, DRAIN (no new sessions) or MAINT (serves nobody), on all nodes')
    .argument('<name>', 'a backend; with --host, one of its hosts, such as a/2')
    .argument('<state>', 'READY, DRAIN or MAINT')
    .option('--host', 'NAME is the name of a host')
    .addOption(reasonOption())
    .addOption(new Option('--percent <number>', 'for DRAIN: only this share of users goes elsewhere').argParser(Number))
    .option('--until <time>', 'expected end, such as 2030-01-31T06:00:00Z, for users to read: it ends nothing')
    .addOption(textsOption('what affected users read; give it once per language'))
    .addOption(configOption())
    .action(async (name: string, state: string, options: SetOptions) => {
      const ask = await openApi(options.config, environment);
      const texts = textsByLanguage(options.text);
      const body = {
        state: state.toUpperCase(),
        reason: options.reason,
        percent: options.percent,
        until: options.until,
        texts,
      };
      const path = `/${options.host === true ? 'hosts' : 'backends'}/${encodeURIComponent(name)}/state`;
      const reply = await ask('PUT', path, body);
      const refused = refusalCode(reply, complain);
      if (refused !== undefined) return end(refused);
      print(`${name} is ${state.toUpperCase()} for all nodes.\n`);
      end(exitCodes.ok);
    });

  backend
    .command('activate')
    .summary('make a standby active, or the primary again; sessions follow')
    .argument('<backend>', 'the backend')
    .argument('<host>', 'the host that is to serve')
    .addOption(reasonOption())
    .addOption(configOption())
    .action(async (name: string, host: string, { config, reason }: { config: string; reason: string }) => {
      const ask = await openApi(config, environment);
      const reply = await ask('PUT', `/backends/${encodeURIComponent(name)}/active`, { host, reason });
      const refused = refusalCode(reply, complain);
      if (refused !== undefined) return end(refused);
      print(`${host} serves ${name}; sessions follow with their next request.\n`);
      end(exitCodes.ok);
    });

  withExamples(backend, [
    ['postern backend list', 'which hosts are up, and which are active'],
    ['postern backend set a MAINT --reason "new disks" --text "en=Back at six."', 'nobody is served; users read why'],
    ['postern backend set --host farm/2 DRAIN --reason kernel', 'no new sessions on this host'],
    ['postern backend activate a a/2 --reason "primary fails"', 'fail over, or back, by hand'],
  ]);
}

function backendList(body: Readonly<Record<string, unknown>>) {
  const rows = rowsIn(body['backends']).flatMap((backend) =>
    rowsIn(backend['hosts']).map((host) => [
      cell(backend['name']),
      `${cell(host['name'])}${backend['active'] === host['name'] ? ' *' : ''}`,
      stateCell(stateOf(backend, host)),
      healthText(host['webmail']),
      healthText(host['imap']),
      cell(host['sessions_here']),
      setReason(host['set'] ?? backend['set']),
    ]),
  );
  return { headings: ['BACKEND', 'HOST', 'STATE', 'WEBMAIL', 'IMAP', 'SESSIONS HERE', 'REASON'], rows };
}

/** The state of a host, with the percentage of users for DRAIN. */
function stateOf(backend: Readonly<Record<string, unknown>>, host: Readonly<Record<string, unknown>>): string {
  const set = [host['set'], backend['set']].find((one) => isObject(one) && one['percent'] !== undefined);
  const state = cell(host['state']);
  return state === 'DRAIN' && isObject(set) ? `${state} ${cell(set['percent'])} %` : state;
}

function healthText(service: unknown): string {
  if (!isObject(service) || service['up'] === undefined) return '-';
  return service['up'] === true ? 'up' : `down: ${cell(service['why'])}`;
}

function setReason(set: unknown): string {
  return isObject(set) && set['state'] !== 'READY' ? `${cell(set['reason'])} (${cell(set['by'])})` : '-';
}

/** `postern drain`: takes this node out of what load balancers send to, while it serves on. */
export function addDrain(program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const { print, complain } = environment;
  const command = program
    .command('drain')
    .summary('make load balancers send no new requests to this node')
    .description(
      'The node answers 503 at /-/ready and tells agents weight 0, but still serves every request that it gets. It ' +
        'stays so until --undo or a restart. SIGTERM drains the node and ends it.',
    )
    .option('--undo', 'end the drain')
    .addOption(reasonWhereNeeded())
    .addOption(configOption())
    .action(async ({ config, undo, ...given }: { config: string; reason?: string; undo?: true }) => {
      const reason = given.reason ?? (undo === true ? 'the drain was undone' : undefined);
      if (reason === undefined) {
        complain('give a reason for the audit: --reason WORDS (only --undo needs none)\n');
        return end(exitCodes.invalid);
      }
      const ask = await openApi(config, environment);
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
    ['postern drain --reason "new kernel"', 'before you stop this machine'],
    ['postern drain --undo', 'put the node back into service'],
  ]);
}
