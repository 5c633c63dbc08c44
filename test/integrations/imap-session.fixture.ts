import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

/** A connection to an IMAP server that sends what a test writes, and reads what comes back. */
export interface ImapSession extends Disposable {
  /** Sends a command. Resolves with its lines; the last is the tagged one, without its tag. */
  send(command: string): Promise<readonly string[]>;
}

const answerMs = 30_000;

/** A connection on which each line that is sent has one line as its answer, as with POP3. */
export interface LineSession extends Disposable {
  /** Resolves with the next line, once this one is sent. */
  ask(line: string): Promise<string>;
  /** Resolves with the next line. */
  next(): Promise<string>;
}

/** Opens a connection to a loopback port, from this address, and reads the greeting. */
export async function openLines(port: number, localAddress = '127.0.0.1'): Promise<LineSession> {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  await once(socket, 'connect', { signal: AbortSignal.timeout(answerMs) });
  socket.setTimeout(answerMs, () => socket.destroy(new Error('the mail server does not answer')));
  const heard = createInterface({ input: socket })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const { value, done } = await heard.next();
    if (done === true) throw new Error('the mail server closed the connection');
    return value;
  };
  await next();
  return {
    next,
    async ask(line) {
      socket.write(`${line}\r\n`);
      return next();
    },
    [Symbol.dispose]: () => socket.destroy(),
  };
}

/** Opens a connection to a loopback port, from this address, and reads the greeting. */
export async function openImap(port: number, localAddress?: string): Promise<ImapSession> {
  const session = await openLines(port, localAddress);
  let sent = 0;
  return {
    async send(command) {
      sent += 1;
      const tag = `x${sent} `;
      const lines: string[] = [];
      for (let line = await session.ask(tag + command); ; line = await session.next()) {
        if (line.startsWith(tag)) return [...lines, line.slice(tag.length)];
        lines.push(line);
      }
    },
    [Symbol.dispose]: () => session[Symbol.dispose](),
  };
}

/** SASL PLAIN: `user`'s mailbox, in the name and with the password of another identity. */
export function authenticateAs(user: string, identity: string, password: string): string {
  return `AUTHENTICATE PLAIN ${Buffer.from(`${user}\0${identity}\0${password}`).toString('base64')}`;
}

/** A small message, appended without waiting for a continuation. */
export function append(mailbox: string): string {
  const message = 'Subject: Hello\r\n\r\nHello.\r\n';
  return `APPEND ${mailbox} {${message.length}+}\r\n${message}`;
}
