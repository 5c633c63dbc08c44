import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { createAnchors } from '../audit/anchors.ts';
import { createAudit } from '../audit/audit.ts';
import type { AuditKey } from '../audit/line.ts';
import { createSyslogCopy } from '../audit/syslog.ts';
import type { Config } from '../config/config.ts';
import type { Audit } from '../core/audit.ts';
import { systemClock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { StateStore } from '../core/state-store.ts';
import type { KeyRing } from '../sessions/key-derivation.ts';
import { readKeysFile, ringOf } from '../sessions/keys-file.ts';

export interface OpenAuditOptions {
  readonly config: Config;
  /** Where the ends of chains are anchored; it stays whoever's it is. */
  readonly store: StateStore;
  readonly keys: { current(): Pick<KeyRing, 'promoted'> };
  readonly log: Log;
}

/** The audit of this process. It can be opened also where nothing can be written; the log has an alarm then. */
export async function openAudit({ config, store, keys, log }: OpenAuditOptions): Promise<Audit & AsyncDisposable> {
  const { file } = config.audit;
  const node = hostname();
  const opened = new AsyncDisposableStack();
  const anchors = opened.use(createAnchors({ store, log }));
  const { syslog } = config.audit;
  const copy = syslog === undefined ? undefined : opened.use(createSyslogCopy({ ...syslog, node, log }));
  const audit = opened.use(
    createAudit({
      file,
      node,
      key: () => auditKeyOf(keys.current().promoted),
      clock: systemClock,
      randomBytes,
      log,
      written(line) {
        const { chain, sequence, mac, timeMs } = line;
        anchors.note({ chain, sequence, mac, timeMs, node, file });
        copy?.send(line);
      },
    }),
  );
  await audit.open();
  return { ...audit, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

/**
 * The audit for a command that runs beside the gateway, in the same file. Nothing where this machine has no server keys:
 * no gateway has run here. Rejects with ERR_KEYS_UNUSABLE.
 */
export async function openCommandAudit(
  config: Config,
  store: StateStore,
  log: Log,
): Promise<(Audit & AsyncDisposable) | undefined> {
  const entries = await readKeysFile(config.sessions.keysFile);
  if (entries === undefined) return undefined;
  const ring = ringOf(entries);
  return openAudit({ config, store, keys: { current: () => ring }, log });
}

function auditKeyOf(key: KeyRing['promoted']): AuditKey {
  return { id: key.id, secret: key.subkey('audit').export() };
}
