import { type LoginName, splitLoginName } from '../core/names.ts';
import type { MupdateResponse } from './mupdate-reader.ts';
import { badAnswer, couldNotAsk, type SourceAnswer } from './source.ts';
import { readHost } from './value.ts';

/**
 * The name of a user's INBOX in the Murder's own namespace: `user.bob`, in another domain than the default one
 * `example.org!user.bob`. A full stop in the user is `^` there, as with `unixhierarchysep: yes`.
 */
export function inboxOf(name: LoginName, defaultDomain: string | undefined): string {
  const { local, domain } = splitLoginName(name);
  const inbox = `user.${local.replaceAll('.', '^')}`;
  return domain === '' || domain === defaultDomain ? inbox : `${domain}!${inbox}`;
}

/** Whether a name is that of an INBOX: the folders of users are of no interest here. */
export function isInbox(name: string): boolean {
  return /^(?:[^!]*!)?user\.[^.]+$/.test(name);
}

/** Where a response says that its mailbox is: `host!partition`; nothing while it is being made or moved. */
export function locationIn({ kind, strings: [, location] }: MupdateResponse): string | undefined {
  if (kind === 'RESERVE') return undefined;
  if (kind !== 'MAILBOX' || location === undefined) throw badAnswer('the master sent a response that is none here');
  return location;
}

export function readLocation(location: string | undefined): SourceAnswer {
  if (location === undefined) throw couldNotAsk('the mailbox is just being made or moved');
  return { kind: 'found', home: readHost(location.split('!', 1)[0] ?? '') };
}
