import { timingSafeEqual } from 'node:crypto';
import { type Argument, itemsOf, textOf } from './command.ts';
import type { ImapConnection } from './connection.ts';
import { ImapSyntaxError } from './input.ts';
import type { Completion, ServerContext } from './server-context.ts';

const insecure = 'NO [PRIVACYREQUIRED] Use TLS first';

/** LOGIN user password (RFC 3501, 6.2.3). */
export async function login(
  connection: ImapConnection,
  args: readonly Argument[],
  server: ServerContext,
): Promise<Completion> {
  if (!server.mayLogIn(connection)) return insecure;
  const user = textOf(args[0]);
  return signIn(connection, { user, actor: user, password: textOf(args[1]) }, server);
}

/** AUTHENTICATE PLAIN, with or without an initial response (RFC 4616, RFC 4959). An authzid needs a master user. */
export async function authenticate(
  connection: ImapConnection,
  args: readonly Argument[],
  server: ServerContext,
): Promise<Completion> {
  if (textOf(args[0]).toUpperCase() !== 'PLAIN') return 'NO [CANNOT] Only PLAIN is known here';
  if (!server.mayLogIn(connection)) return insecure;
  let response = args[1] === undefined ? undefined : textOf(args[1]);
  if (response === undefined) {
    connection.send('+ ');
    response = await connection.input.line();
  }
  if (response === undefined || response === '*') return 'BAD Cancelled';
  const [authzid, actor, password, ...more] = Buffer.from(response, 'base64').toString('utf8').split('\0');
  if (authzid === undefined || actor === undefined || password === undefined || more.length > 0) {
    throw new ImapSyntaxError('PLAIN is authzid NUL authcid NUL password');
  }
  return signIn(connection, { user: authzid === '' ? actor : authzid, actor, password }, server);
}

/** ID (RFC 2971): keeps the client's fields, and answers with the server's. */
export function identify(connection: ImapConnection, args: readonly Argument[]): Completion {
  const [first] = args;
  const nothing = first?.kind === 'atom' && first.text.toUpperCase() === 'NIL';
  const texts = nothing ? [] : itemsOf(first).map(textOf);
  const known = new Map(connection.clientId);
  for (let at = 0; at + 1 < texts.length && known.size < 30; at += 2) {
    known.set((texts[at] ?? '').toLowerCase(), texts[at + 1] ?? '');
  }
  connection.clientId = known;
  connection.send('* ID ("name" "Postern demo")');
  return 'OK Pleased to meet you';
}

async function signIn(
  connection: ImapConnection,
  given: { readonly user: string; readonly actor: string; readonly password: string },
  server: ServerContext,
): Promise<Completion> {
  const account = server.accounts.get(given.user.toLowerCase());
  const own = given.actor.toLowerCase() === given.user.toLowerCase();
  const expected = own ? account?.password : server.masters.get(given.actor);
  const right = expected !== undefined && same(expected, given.password) && account !== undefined;
  server.record({
    user: given.user,
    actor: given.actor,
    result: right ? 'ok' : 'refused',
    secure: connection.secure,
    clientId: connection.clientId,
  });
  if (right) {
    connection.account = account;
    return `OK [CAPABILITY ${server.capabilities(connection)}] Signed in`;
  }
  await server.holdBack();
  return 'NO [AUTHENTICATIONFAILED] Authentication failed.';
}

function same(expected: string, given: string): boolean {
  const [left, right] = [Buffer.from(expected), Buffer.from(given)];
  return left.length === right.length && timingSafeEqual(left, right);
}
