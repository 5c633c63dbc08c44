import net from 'node:net';
import { createInterface } from 'node:readline';

/** Delivers a message through the lab's SMTP sink on backend a. Rejects if it was not accepted. */
export async function deliver(port: number, to: string, message: string): Promise<void> {
  const socket = net.connect(port, '127.0.0.11');
  const replies = createInterface({ input: socket })[Symbol.asyncIterator]();
  const expect = async (code: string): Promise<void> => {
    const { value } = await replies.next();
    if (typeof value !== 'string' || !value.startsWith(code)) throw new Error(`SMTP sink said ${String(value)}`);
  };
  const dotted = message.replaceAll(/\r?\n/g, '\r\n').replaceAll(/^\./gm, '..');
  try {
    await expect('220');
    for (const line of ['HELO test', 'MAIL FROM:<mallory@elsewhere.test>', `RCPT TO:<${to}>`]) {
      socket.write(`${line}\r\n`);
      await expect('250');
    }
    socket.write('DATA\r\n');
    await expect('354');
    socket.write(`${dotted}\r\n.\r\n`);
    await expect('250');
  } finally {
    socket.destroy();
  }
}
