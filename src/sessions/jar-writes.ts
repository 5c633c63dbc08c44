import type { Log } from '../core/log.ts';
import type { SessionStore } from '../core/session.ts';
import type { CachedSession } from './cached-session.ts';

const debounceMs = 100;

/** What writing jars takes. `gone` hears of a session whose record the store no longer has. */
export interface JarWritesOptions {
  readonly store: Pick<SessionStore, 'writeJar'>;
  readonly log: Log;
  readonly gone: (session: CachedSession) => void;
}

/** Writes changed jars a moment later, many changes as one; what the store could not take waits for the next flush. */
export function createJarWrites({ store, log, gone }: JarWritesOptions) {
  const unsaved = new Set<CachedSession>();
  let timer: NodeJS.Timeout | undefined;
  let failing = false;

  async function write(session: CachedSession): Promise<void> {
    const { jar } = session;
    const { changes } = jar;
    try {
      if ((await store.writeJar(session.key, session.sealJar())) === 'gone') gone(session);
      // Another change may have come while this one was written: then it waits for its own turn.
      if (session.jar === jar && jar.changes === changes) session.jarUnsaved = false;
      failing = false;
    } catch (error) {
      unsaved.add(session);
      if (!failing) log.warn({ err: error }, 'cookie jars cannot be written; that is repeated');
      failing = true;
    }
  }

  async function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const sessions = [...unsaved];
    unsaved.clear();
    await Promise.all(sessions.map((session) => write(session)));
  }

  return {
    note(session: CachedSession): void {
      unsaved.add(session);
      timer ??= setTimeout(() => void flush(), debounceMs).unref();
    },
    /** Resolves when all that was noted is written, or waits again. */
    flush,
  };
}
