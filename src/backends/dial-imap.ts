import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import type { ImapEndpoint } from '../core/backend.ts';

/**
 * Connects to an IMAP server as the gateway would, up to its greeting over TLS, and leaves again.
 * Returns what the server said; rejects with the reason when it cannot be reached, trusted or understood.
 */
export async function dialImap(imap: ImapEndpoint, signal: AbortSignal): Promise<string> {
  const { hostname: host, port } = imap;
  signal.throwIfAborted();
  // The outermost socket only: a TLS socket closes the one below it, and crashes Node when that is closed before it.
  let socket: Socket | undefined;
  const onAbort = () => socket?.destroy(new Error('no answer in time'));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    if (imap.security === 'tls') {
      socket = connectTls({ ...trustOptions(imap), host, port });
      const [greeting = ''] = await converse(socket, 'x LOGOUT');
      return checkGreeting(greeting);
    }
    const plain = connectTcp({ host, port });
    socket = plain;
    const greeting = await startTls(plain);
    const secured = connectTls({ ...trustOptions(imap), host, socket: plain });
    socket = secured;
    await isSecured(secured);
    return greeting;
  } finally {
    signal.removeEventListener('abort', onAbort);
    socket?.destroy();
  }
}

function trustOptions({ hostname, trust }: ImapEndpoint): ConnectionOptions {
  // Server names in TLS are names: an address may not be sent as one (RFC 6066).
  const servername = trust.servername ?? (isIP(hostname) === 0 ? hostname : '');
  return { servername, ...(trust.ca === undefined ? {} : { ca: trust.ca }) };
}

async function startTls(socket: Socket): Promise<string> {
  const lines = await converse(socket, 'x STARTTLS');
  const greeting = checkGreeting(lines[0] ?? '');
  const answer = lines.at(-1) ?? '';
  if (!/^x OK/i.test(answer)) throw new Error(`the server refuses STARTTLS: ${short(answer)}`);
  return greeting;
}

function checkGreeting(line: string): string {
  if (!/^\* OK/i.test(line)) throw new Error(`no IMAP greeting: ${short(line)}`);
  return short(line.slice(5).replace(/^\[[^\]]*\] ?/, ''));
}

async function isSecured(socket: TLSSocket): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once('secureConnect', resolve);
  socket.on('error', reject);
  socket.once('close', () => reject(new Error('the server closed the connection')));
  await promise;
}

/** Sends the command, tagged x, once the server has greeted; returns all lines from the greeting to the answer. */
async function converse(socket: Socket, command: string): Promise<readonly string[]> {
  const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
  const lines: string[] = [];
  const reader = createInterface({ input: socket });
  // Both tell of the same failure, and either would end the process if nobody listened.
  reader.on('error', reject);
  socket.on('error', reject);
  socket.once('close', () => reject(new Error('the server closed the connection')));
  reader.on('line', (line) => {
    if (lines.length === 0) socket.write(`${command}\r\n`);
    lines.push(line);
    // A server that never stops talking is not an IMAP server.
    if (lines.length > 100) reject(new Error('the server talks without end'));
    if (line.startsWith('x ')) resolve(lines);
  });
  try {
    return await promise;
  } finally {
    reader.close();
  }
}

/** What a server said, as a table may show it. */
function short(line: string): string {
  return line
    .replace(/[^\x20-\x7e]/g, '?')
    .trim()
    .slice(0, 60);
}
