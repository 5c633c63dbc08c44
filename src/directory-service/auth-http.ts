import type { MailPorts } from '../core/backend.ts';
import { nameForServer } from '../core/names.ts';
import type { Addresses } from './addresses.ts';
import { type MailProtocol, mailProtocols, type MailRoute } from './mail-routes.ts';

/** The fields of nginx's request that are used. The password is not: the mail server checks it. */
interface AuthHttpQuestion {
  /** Decoded. */
  readonly user: string;
  readonly protocol: MailProtocol;
  /** `none` if no client waits whose protocol has texts for the answer. */
  readonly method: string;
  /** The address of the mail client, as nginx has it; undefined if it says none. */
  readonly client: string | undefined;
}

/** Header fields of an auth_http answer. */
export type AuthHttpFields = Readonly<Record<string, string>>;

/** Seconds that nginx makes a client wait, to slow down guesses and retries. */
const waitSeconds = '3';

/** Reads the request of ngx_mail_auth_http_module; undefined if it names no user or no known protocol. */
export function readQuestion(header: (name: string) => string | undefined): AuthHttpQuestion | undefined {
  const protocol = mailProtocols.find((known) => known === header('auth-protocol'));
  const user = header('auth-user');
  if (protocol === undefined || user === undefined) return undefined;
  return { user: decodeField(user), protocol, method: header('auth-method') ?? '', client: header('client-ip') };
}

/** Returns the fields that send the client to its mail server, or tell it why not. */
export async function authHttpAnswer(
  route: MailRoute,
  question: AuthHttpQuestion,
  { ports, addresses }: { readonly ports: MailPorts; readonly addresses: Addresses },
): Promise<AuthHttpFields> {
  switch (route.kind) {
    case 'found':
      return {
        'Auth-Status': 'OK',
        'Auth-Server': await addresses.of(route.host.imap.hostname),
        'Auth-Port': String(route.mailPorts?.[question.protocol] ?? ports[question.protocol]),
        // A field carries bytes, here the UTF-8 of the name.
        'Auth-User': Buffer.from(nameForServer(route.user, route.host.imap.loginName)).toString('latin1'),
      };
    case 'unknown-user':
    case 'refused':
      // No password has been checked yet, so the client must not learn why the account is closed.
      return refusalFields(question, 'Invalid login or password', permanentCodes);
    case 'closed':
      return temporaryFailure(question);
    default:
      return route satisfies never;
  }
}

/** Returns the fields for "try again later" in the client's protocol, so that no client asks for another password. */
export function temporaryFailure(question: AuthHttpQuestion): AuthHttpFields {
  return refusalFields(question, 'Temporary server problem, try again later', temporaryCodes);
}

/** RFC 5530; RFC 2449 and 3206; RFC 4954. */
const permanentCodes = { imap: '[AUTHENTICATIONFAILED] ', pop3: '[AUTH] ', smtp: '535 5.7.8' } as const;
const temporaryCodes = { imap: '[UNAVAILABLE] ', pop3: '[SYS/TEMP] ', smtp: '454 4.7.0' } as const;

function refusalFields(
  { protocol, method }: AuthHttpQuestion,
  text: string,
  codes: Readonly<Record<MailProtocol, string>>,
) {
  const prefix = protocol === 'smtp' || method === 'none' ? '' : codes[protocol];
  return {
    'Auth-Status': `${prefix}${text}`,
    ...(protocol === 'smtp' ? { 'Auth-Error-Code': codes.smtp } : {}),
    'Auth-Wait': waitSeconds,
  };
}

/** Decodes a name: nginx sends characters that could break a field as %XX. Malformed UTF-8 cannot be a name. */
function decodeField(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '\ufffd';
  }
}
