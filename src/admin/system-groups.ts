import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { messageFrom, PosternError } from '../core/error.ts';
import { codeOf, thisUser } from '../core/named-files.ts';

const key = 'operators.socket_group';
const getentMs = 2_000;
/** What getent(1) ends with if there is no such entry. */
const noEntry = 2;

/**
 * Returns the number of a group of this machine, by its name or number. `getent` is asked, since a group may come from
 * LDAP; a machine without it has /etc/group alone. Rejects with what the operator must change if there is no such group,
 * and so that a later try makes sense if nobody could be asked.
 */
export async function groupNumber(group: string | number, search = process.env['PATH']): Promise<number> {
  if (typeof group === 'number') return group;
  const entries = (await askGetent(group, search)) ?? (await readFile('/etc/group', 'utf8').catch(() => ''));
  const fields = entries.split('\n').map((line) => line.split(':'));
  const number = fields.find(([name]) => name === group)?.[2];
  if (number !== undefined && /^\d+$/.test(number)) return Number(number);
  throw unusable(`there is no such group on this machine: create it by groupadd --system ${group}, or name another`, {
    group,
  });
}

/** The entry of the group, empty if there is none; undefined if this machine has no `getent`. */
function askGetent(group: string, search: string | undefined): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const options = { timeout: getentMs, killSignal: 'SIGKILL', env: { PATH: search } } as const;
    execFile('getent', ['group', group], options, (cause, output) => {
      if (cause === null) return resolve(output);
      if (cause.code === noEntry) return resolve('');
      if (codeOf(cause) === 'ENOENT') return resolve(undefined);
      const why =
        cause.killed === true
          ? `did not answer within ${getentMs / 1_000} s`
          : `failed (${cause.code ?? cause.signal})`;
      reject(
        unusable(`getent ${why}: look after /etc/nsswitch.conf, or write the number of the group`, {
          group,
          cause,
          retryable: true,
        }),
      );
    });
  });
}

/** Why the user of this process could not give a socket to a group, for the operator. */
export function notGiven(group: string | number, cause: unknown): PosternError {
  const who = `the user ${thisUser()}`;
  const remedy = `make ${who} a member of it, under systemd by operators-group.conf (docs/operate.md), or name another`;
  return unusable(`${who} may not give the socket to it (${codeOf(cause) ?? messageFrom(cause)}): ${remedy}`, {
    group,
    cause,
  });
}

/** Whether the user of this process may give files to a group: root may, and members of it. */
export function mayGiveTo(gid: number): boolean {
  const { geteuid, getegid, getgroups } = process;
  return geteuid?.() === 0 || getegid?.() === gid || (getgroups?.() ?? []).includes(gid);
}

interface Refused {
  readonly group: string | number;
  readonly cause?: unknown;
  readonly retryable?: boolean;
}

function unusable(why: string, { group, cause, retryable = false }: Refused): PosternError {
  return new PosternError('ERR_CONFIG_INVALID', `${key} ${group}: ${why}`, { source: 'config', retryable, cause });
}
