import { readFileSync } from 'node:fs';

const unit = readFileSync(new URL('../deploy/systemd/postern.service', import.meta.url), 'utf8');

/** Node's flags in production. All contenders on Node get them. */
export const nodeFlags: readonly string[] = /^ExecStart=\S+((?: --\S+)*) /m.exec(unit)?.[1]?.trim().split(' ') ?? [];
