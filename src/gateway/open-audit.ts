import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { createAudit } from '../audit/audit.ts';
import type { AuditKey } from '../audit/line.ts';
import type { Config } from '../config/config.ts';
import type { Audit } from '../core/audit.ts';
import { systemClock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { KeyRing } from '../sessions/keys.ts';

export interface OpenAuditOptions {
  readonly config: Config;
  readonly keys: { current(): Pick<KeyRing, 'promoted'> };
  readonly log: Log;
}

/** The audit of this process. Nothing is written before its first event. */
export function openAudit({ config, keys, log }: OpenAuditOptions): Audit & AsyncDisposable {
  return createAudit({
    file: config.audit.file,
    node: hostname(),
    key: () => auditKeyOf(keys.current().promoted),
    clock: systemClock,
    randomBytes,
    log,
  });
}

function auditKeyOf(key: KeyRing['promoted']): AuditKey {
  return { id: key.id, secret: key.subkey('audit') };
}
