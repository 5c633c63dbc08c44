import { makeCertificate } from './certificates.fixture.ts';
import type { Script, Turn } from './scripted-imap.fixture.ts';

/** The certificate of all scripted servers here. */
export const certificate = makeCertificate('IP:127.0.0.1');

/** The server's answer to the password; `tag` is the tag of the command. */
export interface Answer {
  readonly name: string;
  readonly bytes: (tag: string) => string;
  /** Whether the server closes the connection then. */
  readonly closes?: boolean;
  /** `right`, a kind of refusal, or the code of the error if the password was not judged. */
  readonly says: string;
}

const line = (text: string, says: string): Answer => ({
  name: `TAG ${text}`,
  bytes: (tag) => `${tag} ${text}\r\n`,
  says,
});
const last = (name: string, bytes: Answer['bytes'], says = 'ERR_IMAP_UNAVAILABLE'): Answer => ({
  name: `${name}, and the connection ends`,
  bytes,
  says,
  closes: true,
});
const nextTag = (tag: string) => (Number.parseInt(tag, 16) + 1).toString(16).toUpperCase();

/** A server's possible answers to a password. */
export const answers: readonly Answer[] = [
  line('OK', 'right'),
  line('OK Logged in', 'right'),
  line('ok [CAPABILITY IMAP4rev1 UIDPLUS MOVE QUOTA] Logged in', 'right'),
  last('TAG OK', (tag) => `${tag} OK\r\n`, 'right'),
  line('BYE Authentication failed', 'ERR_IMAP_UNAVAILABLE'),
  last('TAG BYE', (tag) => `${tag} BYE\r\n`),
  last('* BYE', () => '* BYE too many errors\r\n'),
  last('* OK', () => '* OK still here\r\n'),
  last('* OK with capabilities', () => '* OK [CAPABILITY IMAP4rev1 MOVE] Logged in\r\n'),
  last('* PREAUTH', () => '* PREAUTH welcome\r\n'),
  last('* NO', () => '* NO [AUTHENTICATIONFAILED] no\r\n'),
  last('a foreign tag', () => 'A001 OK Logged in\r\n'),
  last('the next tag', (tag) => `${nextTag(tag)} OK Logged in\r\n`),
  last('the tag before', () => '1 OK Logged in\r\n'),
  last('a continuation that looks like a yes', (tag) => `+ ${tag} OK\r\n`),
  last('nothing', () => ''),
  last('half a tag', (tag) => tag.slice(0, -1)),
  last('half an OK', (tag) => `${tag} O`),
  last('an OK without an end of line', (tag) => `${tag} OK`),
  last('a NO without an end of line', (tag) => `${tag} NO`),
  last('a yes inside of a literal', (tag) => `* OK {${tag.length + 5}}\r\n${tag} OK\r\n\r\n`),
  last('a yes inside of a literal that does not end', (tag) => `* OK {900}\r\n${tag} OK\r\n`),
  last('a quoted yes', (tag) => `"${tag}" OK\r\n`),
  { name: 'a huge literal', bytes: () => '* OK {999999999}\r\n', says: 'ERR_IMAP_PROTOCOL' },
  { name: 'OK without a tag', bytes: () => 'OK Logged in\r\n', closes: true, says: 'ERR_IMAP_UNAVAILABLE' },
  { name: 'NO without a tag', bytes: () => 'NO wrong password\r\n', says: 'ERR_IMAP_PROTOCOL' },
  { name: 'BAD without a tag', bytes: () => 'BAD wrong password\r\n', says: 'ERR_IMAP_PROTOCOL' },
  line('PREAUTH welcome', 'ERR_IMAP_PROTOCOL'),
  line('OKAY', 'ERR_IMAP_PROTOCOL'),
  line('"OK"', 'ERR_IMAP_PROTOCOL'),
  line('', 'ERR_IMAP_PROTOCOL'),
  line('BAD', 'ERR_IMAP_PROTOCOL'),
  line('BAD [CLIENTBUG] what?', 'ERR_IMAP_PROTOCOL'),
  line('BAD Request is throttled. Suggested Backoff Time: 1 milliseconds', 'ERR_IMAP_UNAVAILABLE'),
  // imapflow takes this one for success, whatever the command was.
  line('NO Some of the requested messages no longer exist', 'wrong'),
  line('NO', 'wrong'),
  line('NO LOGIN failed', 'wrong'),
  line('NO [AUTHENTICATIONFAILED] no', 'wrong'),
  line('NO [AUTHORIZATIONFAILED] no', 'wrong'),
  line('NO [NONEXISTENT] no', 'wrong'),
  line('NO [X-OWN] no', 'wrong'),
  line('NO [ALERT] Invalid credentials (Failure)', 'wrong'),
  line('NO [EXPIRED] no', 'expired'),
  line('NO [CONTACTADMIN] no', 'contact-admin'),
  line('NO [NOPERM] no', 'contact-admin'),
  line('NO [PRIVACYREQUIRED] no', 'insecure'),
  line('NO [UNAVAILABLE] no', 'ERR_IMAP_UNAVAILABLE'),
  line('NO [INUSE] no', 'ERR_IMAP_UNAVAILABLE'),
  line('NO [LIMIT] no', 'ERR_IMAP_UNAVAILABLE'),
  line('NO [OVERQUOTA] no', 'ERR_IMAP_UNAVAILABLE'),
  line('NO [SERVERBUG] no', 'ERR_IMAP_UNAVAILABLE'),
  line('NO [CORRUPTION] no', 'ERR_IMAP_UNAVAILABLE'),
  line('NO [CLIENTBUG] no', 'ERR_IMAP_PROTOCOL'),
  line('NO [CANNOT] no', 'ERR_IMAP_PROTOCOL'),
  line('NO [ALREADYEXISTS] no', 'ERR_IMAP_PROTOCOL'),
  line('NO [EXPUNGEISSUED] no', 'ERR_IMAP_PROTOCOL'),
];

/** The way of the password to the server, by its capabilities. */
export const commands: readonly (readonly [name: string, capabilities: string])[] = [
  ['LOGIN', 'IMAP4rev1 NAMESPACE QUOTA'],
  ['AUTHENTICATE PLAIN', 'IMAP4rev1 NAMESPACE QUOTA LOGINDISABLED AUTH=PLAIN'],
  ['AUTHENTICATE PLAIN where SASL-IR is offered', 'IMAP4rev1 NAMESPACE QUOTA LOGINDISABLED SASL-IR AUTH=PLAIN'],
  ['AUTHENTICATE LOGIN', 'IMAP4rev1 NAMESPACE QUOTA LOGINDISABLED AUTH=LOGIN'],
];

/** A server that offers these capabilities, and gives this answer to the password. */
export function serverThat(capabilities: string, { bytes, closes }: Pick<Answer, 'bytes' | 'closes'>): Script {
  let pending: { readonly tag: string; left: number } | undefined;
  const reply = ({ socket }: Turn, tag: string) => {
    if (closes === true) socket.end(bytes(tag));
    else socket.write(bytes(tag));
  };
  return {
    certificate,
    greeting: '* OK ready',
    answer(turn) {
      const { tag, command, line } = turn;
      if (pending !== undefined) {
        pending.left -= 1;
        if (pending.left > 0) return turn.say('+ ');
        const { tag } = pending;
        pending = undefined;
        return reply(turn, tag);
      }
      if (command === 'CAPABILITY') turn.say(`* CAPABILITY ${capabilities}`, `${tag} OK`);
      else if (command === 'NAMESPACE') turn.say('* NAMESPACE (("" "/")) NIL NIL', `${tag} OK`);
      else if (command === 'LOGOUT') turn.say('* BYE', `${tag} OK`);
      else if (command === 'APPEND') turn.say(`${tag} NO full`);
      else if (command === 'AUTHENTICATE') {
        turn.say('+ ');
        pending = { tag, left: line.endsWith(' LOGIN') ? 2 : 1 };
      } else if (command === 'LOGIN') reply(turn, tag);
      else turn.say(`${tag} BAD unknown`);
    },
  };
}
