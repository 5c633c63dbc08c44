import { stat } from 'node:fs/promises';
import type { SourceDeps } from '../source.ts';

/** The content of a file when it could last be read. */
interface WatchedFile<T> extends AsyncDisposable {
  readonly current: T;
}

interface WatchedFileOptions<T> {
  readonly file: string;
  /** Reads the file. Rejects when it is broken. */
  readonly load: (file: string, signal: AbortSignal) => Promise<T>;
  /** Called with content that was replaced, and on closing with the current one. */
  readonly release?: (content: T) => Promise<void> | void;
}

/**
 * Keeps the content of a file in force, and takes over a changed file as a whole.
 *
 * The file is checked every `pollMs` (inotify misses network file systems and replaced links) and read when it has
 * changed and then stayed the same for one more check: a file that is being written is not read half. If the file is
 * gone or broken, the log has an alarm and the old content stays. Rejects if the first reading fails.
 */
export async function watchFile<T>(
  options: WatchedFileOptions<T>,
  { label, log, pollMs }: Pick<SourceDeps, 'label' | 'log' | 'pollMs'>,
): Promise<WatchedFile<T>> {
  const { file, load, release } = options;
  const closing = new AbortController();
  let taken = await fingerprint(file);
  let seen = taken;
  let checking: Promise<void> | undefined;
  const watched = { current: await load(file, closing.signal), [Symbol.asyncDispose]: close };

  async function check(): Promise<void> {
    const before = seen;
    seen = await fingerprint(file);
    // The file is the same, was refused before, or is still changing.
    if (seen === taken || seen !== before) return;
    taken = seen;
    if (seen === 'missing') {
      log.error('directory-file-missing', { source: label, file });
      return;
    }
    const replaced = watched.current;
    watched.current = await load(file, closing.signal);
    log.info('directory-file-changed', { source: label, file });
    await release?.(replaced);
  }

  const timer = setInterval(() => {
    checking ??= check()
      .catch((error: unknown) => {
        if (closing.signal.aborted) return;
        const why = error instanceof Error ? error.message : String(error);
        log.error('directory-file-broken', { source: label, file, why });
      })
      .finally(() => {
        checking = undefined;
      });
  }, pollMs);

  async function close(): Promise<void> {
    clearInterval(timer);
    closing.abort();
    await checking;
    await release?.(watched.current);
  }

  return watched;
}

async function fingerprint(file: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
  } catch {
    // Reading the file will say why.
    return 'missing';
  }
}
