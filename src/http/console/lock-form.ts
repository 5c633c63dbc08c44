import type { UnreachedNode } from '../../core/node-report.ts';
import { formField } from '../forms.ts';
import type { Views } from '../views.ts';
import type { StaffExchange } from './authorisation.ts';
import { type ConsoleActor, typedReason } from './backends.ts';
import { showMessage } from './layout.ts';

/** Locking single users at the console. Each call rejects if the store does not take it. */
export interface ConsoleLocks {
  /** Locks after the audit line; `staff`: nobody locks staff at the console. Else the nodes that may not know yet. */
  lock(user: string, order: TypedLock, by: ConsoleActor): Promise<readonly UnreachedNode[] | 'staff'>;
  /** As `lock`; undefined if the user is not locked. */
  unlock(user: string, reason: string, by: ConsoleActor): Promise<readonly UnreachedNode[] | undefined>;
}

/** What a form says of a lock: why, and what the user reads, which may be nothing of its own. */
interface TypedLock {
  readonly reason: string;
  readonly text: string;
}

interface LockFormDeps {
  readonly locks: ConsoleLocks;
  readonly views: Views;
}

/** Locks or unlocks the user of a form, whom the role covers, and says what came of it. */
export async function submitLock(
  { locks, views }: LockFormDeps,
  { request, response, frame, staff, actor }: StaffExchange,
  subject: string,
  wanted: 'lock' | 'unlock',
): Promise<void> {
  const show = (title: string, status: number, text: string): void =>
    showMessage(views, response, { ...frame, title, status }, text);
  const reason = typedReason(request.body);
  const text = (formField(request.body, 'text') ?? '').replace(/\p{C}+/gu, ' ').trim();
  if (reason === undefined || text.length > 500) {
    return show('Nothing was changed', 400, 'A lock needs a reason. It and the text have at most 500 characters each.');
  }
  const by = { actor, address: staff.address };
  if (wanted === 'unlock') {
    const missing = await locks.unlock(subject, reason, by);
    if (missing === undefined) return show('Nothing was changed', 409, `${subject} is not locked.`);
    return show('Unlocked', 200, `${subject} can sign in again${unconfirmedText(missing)}.`);
  }
  const missing = await locks.lock(subject, { reason, text }, by);
  if (missing === 'staff') {
    const remedy = 'Staff are locked by the command postern user lock alone.';
    return show('Nothing was changed', 403, `${subject} belongs to the staff. ${remedy}`);
  }
  show('Locked', 200, `${subject} cannot sign in any more, and all sessions have ended${unconfirmedText(missing)}.`);
}

function unconfirmedText(missing: readonly UnreachedNode[]): string {
  if (missing.length === 0) return ', on all nodes';
  return `, except that these nodes have not confirmed: ${missing.map(({ name, why }) => `${name} (${why})`).join(', ')}`;
}
