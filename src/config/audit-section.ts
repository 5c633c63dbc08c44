import type { AuditConfig } from './config.ts';
import { ownFile, section } from './leaves.ts';
import type { Outside } from './outside.ts';

export function auditSection(outside: Outside) {
  return section({
    file: ownFile(outside)
      .prefault('state/audit.jsonl')
      .describe('Made with mode 0600. Each machine has its own; the processes of one machine share it.'),
  })
    .transform(({ file }): AuditConfig => ({ file }))
    .prefault({})
    .describe('Where it is written what staff and operators do: see [audit.md](audit.md).');
}
