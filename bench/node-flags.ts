import { readFileSync } from 'node:fs';

const unit = readFileSync(new URL('../deploy/postern.service', import.meta.url), 'utf8');

/** The flags that Node is given in production. All contenders that run on Node have them here. */
export const nodeFlags: readonly string[] = /^ExecStart=\S+((?: --\S+)*) /m.exec(unit)?.[1]?.trim().split(' ') ?? [];
