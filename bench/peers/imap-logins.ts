import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { ImapFlow } from 'imapflow';

/*
 * node imap-logins.ts PORT IMAP-PORT PASSWORD CERTIFICATE-FILE
 *
 * GET /COUNT/AT-ONCE makes so many bare imapflow logins, so many at once, and answers when all have succeeded.
 */

const [port = '', imapPort = '', pass = '', certificateFile = ''] = process.argv.slice(2);
const ca = readFileSync(certificateFile, 'utf8');

async function logIn(user: string): Promise<void> {
  const client = new ImapFlow({
    host: '127.0.0.1',
    port: Number(imapPort),
    secure: true,
    tls: { ca },
    auth: { user, pass },
    logger: false,
    verifyOnly: true,
  });
  client.on('error', () => {});
  await client.connect();
}

createServer((request, response) => {
  const [, count = 0, atOnce = 1] = (request.url ?? '').split('/').map(Number);
  let begun = 0;
  const worker = async (): Promise<void> => {
    while (begun < count) await logIn(`user${(begun += 1)}@bench.test`);
  };
  Promise.all(Array.from({ length: atOnce }, worker)).then(
    () => response.writeHead(204).end(),
    (error: unknown) => response.writeHead(500).end(String(error)),
  );
}).listen(Number(port), '127.0.0.1');
