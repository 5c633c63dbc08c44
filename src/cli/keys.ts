import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { isoTime, systemClock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import { silentLog } from '../core/log.ts';
import { apiRoles, apiTokenHash, makeApiToken } from '../core/secrets.ts';
import { addKey, makeKeysFile, promoteKey, readKeysFile, retireKey } from '../sessions/keys-file.ts';
import type { CommandEnvironment } from './environment.ts';
import {
  configOption,
  type ExitCode,
  exitCodes,
  type ListFormat,
  listFormatOption,
  timeFrom,
  withExamples,
} from './options.ts';
import { listText, timeCell } from './output.ts';

/** `postern keys`: the server keys that sign cookies and seal credentials, and their rotation. */
export function addKeys(program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const keys = program
    .command('keys')
    .summary('create, add, promote, retire or list the server keys')
    .description(
      'The server keys sign cookies and seal sessions. All nodes share one file. To rotate: add a key and copy ' +
        'the file to every node; promote it everywhere; retire the old one after the absolute timeout.',
    );
  const fileOf = (name: string) => keysFileOf(name, environment);

  addList(keys, environment, end);
  addCreate(keys, environment, end);

  keys
    .command('add')
    .summary('add a new key that opens, but does not seal yet')
    .addOption(configOption())
    .action(async ({ config }: { config: string }) => {
      const file = await fileOf(config);
      const id = await addKey(file);
      environment.print(
        `Added ${id} to ${file}.\nNow copy the file to every node and reload them (SIGHUP); then: postern keys promote ${id}\n`,
      );
      end(exitCodes.ok);
    });

  keys
    .command('promote')
    .summary('seal with another key from now on')
    .argument('<key>', 'the id of the key')
    .addOption(configOption())
    .action(async (id: string, { config }: { config: string }) => {
      const file = await fileOf(config);
      await promoteKey(file, id);
      environment.print(
        `${id} seals from now on.\nCopy ${file} to every node and reload them (SIGHUP); retire the old key after the absolute timeout.\n`,
      );
      end(exitCodes.ok);
    });

  keys
    .command('retire')
    .summary('remove a key from the file and for all nodes')
    .argument('<key>', 'the id of the key')
    .option('--now', 'do not wait for sessions that the key sealed: end them')
    .addOption(configOption())
    .action(async (id: string, { config: name, now }: { config: string; now?: true }) => {
      const config = await loadConfig(name, { env: environment.env });
      const refusal = now ? undefined : await whyTooEarly(id, config);
      if (refusal !== undefined) {
        environment.complain(refusal);
        return end(exitCodes.no);
      }
      environment.print(await retire(id, config, environment));
      end(exitCodes.ok);
    });

  withExamples(keys, [
    ['postern keys list -c postern.yaml', 'all keys, and which one seals'],
    ['postern keys create keys', 'for a secret of Kubernetes or Compose'],
    ['postern keys add', 'first step of a rotation'],
    ['postern keys promote 1f2e3d4c', 'second step, once every node has the file'],
    ['postern keys retire 5a6b7c8d', 'last step, after the absolute timeout'],
  ]);
}

async function keysFileOf(name: string, { env }: CommandEnvironment): Promise<string> {
  return (await loadConfig(name, { env })).sessions.keysFile;
}

/** `postern keys list`. */
function addList(keys: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  keys
    .command('list')
    .summary('list the keys in the file, and which one seals')
    .addOption(configOption())
    .addOption(listFormatOption())
    .action(async ({ config, format }: { config: string; format: ListFormat }) => {
      const file = await keysFileOf(config, environment);
      const entries = await readKeysFile(file);
      if (entries === undefined) {
        environment.complain(`There is no ${file} yet: the first node to start creates it.\n`);
        return end(exitCodes.no);
      }
      const rows = entries.map(({ id, state, sinceMs }) => ({ id, state, since: new Date(sinceMs).toISOString() }));
      const cells = rows.map(({ id, state, since }) => [id, state, timeCell(since)]);
      const list = { headings: ['KEY', 'STATE', 'SINCE'], rows: cells, body: rows };
      environment.print(listText(list, format, environment));
      end(exitCodes.ok);
    });
}

/** `postern keys create`: for nodes whose keys file comes from elsewhere, as a secret that is mounted. */
function addCreate(keys: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  keys
    .command('create')
    .summary('write a first keys file, for nodes that get theirs from elsewhere')
    .description(
      'Writes a keys file with one key, which seals. Without it, the first node to start makes the file. Containers ' +
        'get it as a mounted secret.',
    )
    .argument('<file>', 'the file to write; it must not exist')
    .action(async (name: string) => {
      const file = resolve(name);
      const [key] = await makeKeysFile(file);
      environment.print(`Wrote ${file} with the key ${key?.id}: keep it secret, and give it to every node.\n`);
      end(exitCodes.ok);
    });
}

/** Explains why a key cannot be retired yet; undefined if no living session can depend on it. */
async function whyTooEarly(id: string, { sessions }: Config): Promise<string | undefined> {
  const entry = (await readKeysFile(sessions.keysFile))?.find((key) => key.id === id);
  if (entry === undefined || entry.state === 'promoted') return undefined;
  const safeAtMs = entry.sinceMs + sessions.absoluteTimeoutMs;
  if (safeAtMs <= systemClock.nowMs()) return undefined;
  return `Sessions sealed with ${id} may last until ${new Date(safeAtMs).toISOString()}: retire it then, or add --now to end them.\n`;
}

/**
 * Retires a key, and changes nothing unless the store can be asked. The key leaves the file first: a key that only the
 * store knows stops nodes from starting, and can be retired again.
 */
async function retire(id: string, config: Config, environment: CommandEnvironment): Promise<string> {
  const { keysFile } = config.sessions;
  const isInFile = (await readKeysFile(keysFile))?.some((key) => key.id === id) ?? false;
  const { openStore, renewState } = await environment.loadGateway();
  await using store = await openStore(config, silentLog);
  const isRegistered = (await store.registerKeys([])).some((key) => key.id === id);
  if (!isInFile && !isRegistered) {
    const message = `there is no key ${id}, neither in ${keysFile} nor in the store`;
    throw new PosternError('ERR_KEYS_UNUSABLE', message, { source: 'config', retryable: false });
  }
  if (isInFile) {
    await renewState(config, silentLog);
    await retireKey(keysFile, id);
  }
  await store.retireKey(id);
  return `Retired ${id}.\n${isInFile ? `Copy ${keysFile} to every node and reload them (SIGHUP).\n` : ''}`;
}

interface CreateTokenOptions {
  readonly role: string;
  readonly expires?: string;
}

/** `postern token`: the tokens of the operators' API. */
export function addTokens(program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const token = program
    .command('token')
    .summary("make or list tokens of the operators' API")
    .description(
      'A token lets one client use the API over TCP. The configuration holds its hash alone; a reload makes it count, ' +
        'and removing it there ends it. Commands send the token in the variable POSTERN_TOKEN.',
    );
  token
    .command('create')
    .summary('make a token, and the lines of the configuration that let it in')
    .argument('<name>', 'the name of the client in the audit, such as monitoring')
    .addOption(
      new Option('--role <role>', 'read: only GET; lock: only locks; operator: everything')
        .choices([...apiRoles])
        .default('read'),
    )
    .option('--expires <time>', 'refused after this time: 90d, or 2030-01-31T06:00:00Z')
    .action((name: string, { role, expires }: CreateTokenOptions) => {
      const expiresMs = expires === undefined ? undefined : timeFrom(expires, systemClock.nowMs());
      if (!/^[A-Za-z0-9][\w.@-]{0,63}$/.test(name) || Number.isNaN(expiresMs)) {
        const wrong = Number.isNaN(expiresMs)
          ? `${expires} is not a time: write 90d, or one such as`
          : `${name} is not`;
        const remedy = Number.isNaN(expiresMs)
          ? '2030-01-31T06:00:00Z'
          : 'a name of a token: write one such as monitoring';
        environment.complain(`${wrong} ${remedy}\n`);
        return end(exitCodes.invalid);
      }
      if (expiresMs !== undefined && expiresMs <= systemClock.nowMs()) {
        environment.complain(`${expires} is over: such a token would let nobody in\n`);
        return end(exitCodes.invalid);
      }
      const made = makeApiToken().reveal();
      const until = expiresMs === undefined ? '' : `, expires: ${isoTime(expiresMs).replace(/\.\d+Z$/, 'Z')}`;
      environment.print(
        `${made}\nThis is the token of ${name}; it is shown only now. Add its hash to the configuration of every node, and reload:\n` +
          `operators:\n  tokens:\n    - { name: ${name}, hash: "${apiTokenHash(made)}", role: ${role}${until} }\n`,
      );
      end(exitCodes.ok);
    });
  token
    .command('list')
    .summary('list the tokens in the configuration')
    .addOption(configOption())
    .addOption(listFormatOption())
    .action(async ({ config, format }: { config: string; format: ListFormat }) => {
      const { operators } = await loadConfig(config, { env: environment.env });
      const nowMs = systemClock.nowMs();
      const rows = operators.tokens.map(({ name, role, expiresMs }) => ({
        name,
        role,
        expires: expiresMs === undefined ? undefined : isoTime(expiresMs),
        state: expiresMs !== undefined && expiresMs <= nowMs ? 'expired' : 'counts',
      }));
      if (operators.token !== undefined) {
        rows.push({ name: 'operators.token', role: 'operator', expires: undefined, state: 'counts' });
      }
      const cells = rows.map(({ name, role, expires, state }) => [name, role, timeCell(expires), state]);
      const list = { headings: ['TOKEN', 'ROLE', 'EXPIRES', 'STATE'], rows: cells, body: rows };
      environment.print(listText(list, format, environment));
      end(exitCodes.ok);
    });
  withExamples(token, [
    ['postern token create monitoring --expires 365d', 'for a program that only reads'],
    ['postern token create billing --role operator', 'for one that moves users and ends sessions'],
  ]);
}
