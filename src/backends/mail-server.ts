import { spawn } from 'node:child_process';
import { messageFrom, PosternError } from '../core/error.ts';
import { shortLine } from '../core/text.ts';

/** Whose connections: of a user, of all users of a domain, or of everybody in a network. */
export interface MailTarget {
  readonly kind: 'user' | 'domain' | 'network';
  readonly name: string;
}

/** A connection to a mail server or its proxy, as that server names it. */
export interface MailRow {
  /** The name of the user there. */
  readonly login: string;
  /** Such as `imap`. */
  readonly service: string;
  /** The client's address. */
  readonly address: string;
}

/** How many connections of a server were ended, and how many were not although they should. */
export interface MailEndCount {
  readonly ended: number;
  readonly left: number;
}

/** Lists and ends the connections of one server. Each rejects with ERR_MAIL_PROXY if that could not be done. */
export interface MailServer {
  list(whose: MailTarget, signal: AbortSignal): Promise<readonly MailRow[]>;
  end(whose: MailTarget, signal: AbortSignal): Promise<MailEndCount>;
  /** Whether it would do so; resolves with what it can. */
  check(signal: AbortSignal): Promise<string>;
}

/** Makes the failure of a mail proxy. `ofName`: it is the name that cannot be asked about; other names can. */
export function mailFailure(why: string, { ofName = false } = {}): PosternError {
  return new PosternError('ERR_MAIL_PROXY', why, { source: 'imap', retryable: !ofName });
}

const maxProgramOutput = 64 * 1024;

/**
 * Makes the client of a program, for servers without an API. It gets the action (`list` or `end`), the kind and the name
 * as arguments, prints a line `SERVICE ADDRESS` for each connection that there is or was ended, and ends with 0.
 */
export function createMailProgram(program: string): MailServer {
  const rowsOf = async (action: 'list' | 'end', whose: MailTarget, signal: AbortSignal): Promise<MailRow[]> => {
    const said = await runMailProgram(program, [action, whose.kind, whose.name], signal);
    const lines = said.split('\n').filter((line) => line.trim() !== '');
    return lines.map((line) => {
      const [service = '', address = ''] = line.trim().split(/\s+/);
      return { login: whose.name, service: shortLine(service, 60), address: shortLine(address, 60) };
    });
  };
  return {
    list: (whose, signal) => rowsOf('list', whose, signal),
    end: async (whose, signal) => ({ ended: (await rowsOf('end', whose, signal)).length, left: 0 }),
    async check(signal) {
      await rowsOf('list', { kind: 'user', name: 'postern-check@invalid' }, signal);
      return 'lists connections';
    },
  };
}

/** Runs a program without a shell and resolves with its output. It and what it started are killed at `signal`. */
async function runMailProgram(program: string, args: readonly string[], signal: AbortSignal): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const env = { PATH: process.env['PATH'] ?? '' };
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let [said, complaint] = ['', ''];
  const stop = (why: string): void => {
    reject(mailFailure(`${program} ${why}`));
    try {
      // The whole group: an ssh that it started holds its output open.
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has ended already.
    }
  };
  const late = (): void => stop('took too long and was stopped');
  signal.addEventListener('abort', late, { once: true });
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    if (said.length > maxProgramOutput) stop(`printed more than ${maxProgramOutput / 1024} KiB and was stopped`);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(-2_000)));
  child.on('error', (error) => stop(`cannot be run: ${messageFrom(error)}`));
  child.on('close', (code, ending) => {
    if (code === 0) return resolve(said);
    const lastLine = shortLine(complaint.trim().split('\n').at(-1) ?? '', 300);
    const how = code === null ? `ended by ${ending ?? 'a signal'}` : `ended with ${code}`;
    reject(mailFailure(`${program} ${how}${lastLine === '' ? '' : `: ${lastLine}`}`));
  });
  try {
    return await promise;
  } finally {
    signal.removeEventListener('abort', late);
  }
}
