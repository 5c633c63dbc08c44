import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { listening } from '../ports.fixture.ts';

export interface SmtpSink extends AsyncDisposable {
  readonly port: number;
  /** The identities of clients: the three parts of each SASL PLAIN, in order. */
  readonly logins: readonly (readonly string[])[];
}

/** Starts an SMTP server that accepts all mail from clients that authenticate by SASL PLAIN. */
export async function startSmtpSink(): Promise<SmtpSink> {
  const logins: string[][] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('close', () => sockets.delete(socket)));
    let inMail = false;
    let inLogin = false;
    let rest = '';
    const say = (line: string): void => void socket.write(`${line}\r\n`);
    const hear = (line: string): void => {
      if (inMail) {
        inMail = line !== '.';
        if (!inMail) say('250 taken');
      } else if (inLogin || line.startsWith('AUTH PLAIN ')) {
        inLogin = false;
        logins.push(Buffer.from(line.replace('AUTH PLAIN ', ''), 'base64').toString().split('\0'));
        say('235 welcome');
      } else if (line === 'AUTH PLAIN') {
        inLogin = true;
        say('334 ');
      } else if (/^EHLO/i.test(line)) say('250-sink\r\n250 AUTH PLAIN');
      else if (/^DATA/i.test(line)) {
        inMail = true;
        say('354 go on');
      } else say('250 fine');
    };
    say('220 sink');
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\r\n');
      rest = lines.pop() ?? '';
      for (const line of lines) hear(line);
    });
  });
  const port = await listening(server);
  const stop = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  };
  return { port, logins, [Symbol.asyncDispose]: stop };
}
