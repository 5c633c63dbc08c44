import { type Argument, type Command, readCommand, textOf } from './command.ts';
import type { ImapConnection } from './connection.ts';
import { append, fetch, list, select, status, store } from './folders.ts';
import { ImapSyntaxError } from './input.ts';
import type { Completion, ImapMoment, ServerContext } from './server-context.ts';
import { authenticate, identify, login } from './sign-in.ts';

/** The states in which a command is allowed (RFC 3501, 3). */
type State = 'any' | 'before-login' | 'after-login' | 'selected';

type Run = (
  connection: ImapConnection,
  args: readonly Argument[],
  server: ServerContext,
) => Completion | Promise<Completion>;

const commands: ReadonlyMap<string, readonly [State, Run]> = new Map<string, readonly [State, Run]>([
  ['CAPABILITY', ['any', capability]],
  ['NOOP', ['any', () => 'OK Nothing done']],
  ['ID', ['any', identify]],
  ['LOGOUT', ['any', logout]],
  ['STARTTLS', ['before-login', startTls]],
  ['LOGIN', ['before-login', login]],
  ['AUTHENTICATE', ['before-login', authenticate]],
  ['LIST', ['after-login', (connection, args) => list(connection, 'LIST', args)]],
  ['LSUB', ['after-login', (connection, args) => list(connection, 'LSUB', args)]],
  ['SELECT', ['after-login', (connection, args) => select(connection, args, false)]],
  ['EXAMINE', ['after-login', (connection, args) => select(connection, args, true)]],
  ['STATUS', ['after-login', status]],
  ['APPEND', ['after-login', append]],
  ['FETCH', ['selected', (connection, args) => fetch(connection, args, false)]],
  ['UID FETCH', ['selected', (connection, args) => fetch(connection, args, true)]],
  ['STORE', ['selected', (connection, args) => store(connection, args, false)]],
  ['UID STORE', ['selected', (connection, args) => store(connection, args, true)]],
  ['CLOSE', ['selected', close]],
]);

/**
 * Serves one client until it leaves. `stepIn` is called before the greeting and before each command, and returns
 * whether the server goes on as usual.
 */
export async function converse(
  connection: ImapConnection,
  server: ServerContext,
  stepIn: (connection: ImapConnection, moment: ImapMoment, tag: string) => Promise<boolean>,
): Promise<void> {
  if (await stepIn(connection, { verb: 'GREETING', user: undefined }, '*')) {
    connection.send(`* OK [CAPABILITY ${server.capabilities(connection)}] Postern demo IMAP server`);
  }
  while (!connection.ended) {
    const command = await readCommand(connection.input, () => connection.send('+ Go on'));
    if (command === undefined) return;
    if ('problem' in command) {
      connection.send(`${command.tag} BAD ${command.problem.message}`);
      continue;
    }
    if (await stepIn(connection, { verb: command.verb, user: userOf(connection, command) }, command.tag)) {
      const completion = await carryOut(connection, command, server);
      announceNewMail(connection);
      connection.send(`${command.tag} ${completion}`);
      await connection.flushed();
    }
    if (command.verb === 'LOGOUT') return;
    // The handshake starts after the answer; data that the client sent with the command is dropped.
    if (command.verb === 'STARTTLS' && !connection.secure && server.secureContext !== undefined) {
      connection.startTls(server.secureContext);
    }
  }
}

async function carryOut(connection: ImapConnection, command: Command, server: ServerContext): Promise<Completion> {
  const [state, run] = commands.get(command.verb) ?? [];
  if (state === undefined || run === undefined) return 'BAD Unknown command';
  if (state === 'before-login' && connection.account !== undefined) return 'BAD Already signed in';
  if ((state === 'after-login' || state === 'selected') && connection.account === undefined) return 'BAD Sign in first';
  if (state === 'selected' && connection.selected === undefined) return 'BAD Open a folder first';
  try {
    return await run(connection, command.args, server);
  } catch (error) {
    if (error instanceof ImapSyntaxError) return `BAD ${error.message}`;
    throw error;
  }
}

function userOf(connection: ImapConnection, command: Command): string | undefined {
  const [name] = command.args;
  return command.verb === 'LOGIN' && name !== undefined && name.kind !== 'list'
    ? textOf(name)
    : connection.account?.name;
}

function announceNewMail(connection: ImapConnection): void {
  const { selected } = connection;
  if (selected === undefined || selected.folder.messages.length === selected.known) return;
  selected.known = selected.folder.messages.length;
  connection.send(`* ${selected.known} EXISTS`);
}

function capability(connection: ImapConnection, _args: readonly Argument[], server: ServerContext): Completion {
  connection.send(`* CAPABILITY ${server.capabilities(connection)}`);
  return 'OK CAPABILITY done';
}

function logout(connection: ImapConnection): Completion {
  connection.send('* BYE Until next time');
  return 'OK LOGOUT done';
}

function startTls(connection: ImapConnection, _args: readonly Argument[], server: ServerContext): Completion {
  if (connection.secure || server.secureContext === undefined) return 'BAD TLS is not available';
  return 'OK Begin TLS now';
}

function close(connection: ImapConnection): Completion {
  connection.selected = undefined;
  return 'OK Closed';
}
