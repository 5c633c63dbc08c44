import { once } from 'node:events';
import { chmodSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { PosternError } from '../core/error.ts';
import { makeFolder } from '../core/named-files.ts';
import type { Api } from './api.ts';

/**
 * Serves the API on a unix socket with mode 0600. What a node that died left there is replaced; one that another node
 * serves is not. Rejects with what the operator must change when it cannot be made. Dispose of it to close it.
 */
export async function openApiSocket(file: string, api: Api): Promise<AsyncDisposable> {
  const server = createServer((request, response) => void api(request, response, 'socket'));
  try {
    makeFolder(dirname(file));
    // Whatever else stands there is somebody's.
    if (statSync(file, { throwIfNoEntry: false })?.isSocket() === false) throw new Error('something else stands there');
    if (await isServed(file)) throw new Error('another process serves it');
    rmSync(file, { force: true });
    // Nobody may connect before the mode is set.
    const mask = process.umask(0o177);
    try {
      server.listen(file);
      await once(server, 'listening');
    } finally {
      process.umask(mask);
    }
    chmodSync(file, 0o600);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const message = `cannot make the socket ${file}: ${why}; name another under operators.socket`;
    throw new PosternError('ERR_CONFIG_INVALID', message, { source: 'config', retryable: false, cause });
  }
  return {
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function isServed(file: string): Promise<boolean> {
  const socket = connect(file);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
