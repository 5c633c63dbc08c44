import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exists, startProgram } from '../programs.ts';

/** The socket of a service manager, which writes down what it hears. */
export interface NoticeSocket extends AsyncDisposable {
  /** For NOTIFY_SOCKET. */
  readonly path: string;
  /** The notices so far, each as its assignments. */
  notices(): Promise<readonly (readonly string[])[]>;
}

/** Node has no unix datagram sockets. The descriptors that come with a barrier are closed, as a manager does. */
const reader = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
with open(sys.argv[2], 'a') as out:
    while True:
        text, fds, _, _ = socket.recv_fds(s, 65536, 8)
        for fd in fds:
            os.close(fd)
        lines = text.decode().split('\\n')
        if lines != ['BARRIER=1']:
            out.write('\\t'.join(line for line in lines if line) + '\\n')
            out.flush()
`;

export async function startNoticeSocket(): Promise<NoticeSocket> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-notices-'));
  // The gateway may be another user.
  await chmod(folder, 0o755);
  const path = join(folder, 'notify');
  const heard = join(folder, 'heard');
  const isReady = async () => {
    if (!(await exists(heard))) throw new Error('nobody listens yet');
  };
  const program = await startProgram('python3', ['-c', reader, path, heard], { isReady });
  return {
    path,
    async notices() {
      const text = await readFile(heard, 'utf8');
      return text.split('\n').flatMap((line) => (line === '' ? [] : [line.split('\t')]));
    },
    async [Symbol.asyncDispose]() {
      await program[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
