import { randomUUID } from 'node:crypto';
import { eventually } from '../eventually.fixture.ts';
import { type DeliverySite, domain } from './delivery-site.fixture.ts';

/** What became of the mails; each list should be empty. */
export interface DeliveryOutcome {
  readonly mails: number;
  readonly lost: readonly string[];
  /** In a mailbox of another user, or only on a server that is not the user's home. */
  readonly misplaced: readonly string[];
  readonly twice: readonly string[];
}

const connections = 4;

/** Recipients in turn, and whose mailbox each address means. */
const recipients = [
  [`mia@${domain}`, 'mia'],
  [`alice@${domain}`, 'alice'],
  [`mia+shop@${domain}`, 'mia'],
  [`robert@${domain}`, 'bob'],
  [`MIA@${domain}`, 'mia'],
  [`bob@${domain}`, 'bob'],
] as const;

/**
 * Sends mails while mia moves a → b → a → b, and while b is in maintenance. Resolves when the queue of Postfix is empty
 * and the last move has ended.
 */
export async function deliverWhileMoving(
  site: DeliverySite,
  { mails }: { readonly mails: number },
): Promise<DeliveryOutcome> {
  const sent = new Map<string, string>();
  // Mails of several runs are told apart.
  const run = randomUUID().slice(0, 8);
  let next = 0;
  let isMoving = true;
  const owed = (): boolean => sent.size < mails && next < mails;
  async function sendAll(): Promise<void> {
    using connection = await site.sender();
    while (owed()) {
      // A part is kept for the time after the last move, so that every step meets mail.
      if (isMoving && next >= mails * 0.9) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        continue;
      }
      const number = next++;
      const [address, user] = recipients[number % recipients.length] ?? recipients[0];
      const answer = await connection.send(address, `${run}-${number}`);
      if (!answer.startsWith('250')) throw new Error(`${address} was refused: ${answer}`);
      sent.set(`${run}-${number}`, user);
      // Spread over the moves.
      if (isMoving) await new Promise((resolve) => setTimeout(resolve, 60));
    }
  }
  async function moveAround(): Promise<void> {
    const move = (to: string) => site.postern('user', 'move', 'mia', '--to', to, '--reason', 'to and fro');
    await move('b');
    await site.postern('backend', 'set', 'b', 'MAINT', '--reason', 'new disks');
    await eventually(async () => (await site.postfix.waiting()).some(({ address }) => address.startsWith('bob')));
    await site.postern('backend', 'set', 'b', 'READY', '--reason', 'done');
    await move('a');
    await move('b');
    isMoving = false;
  }
  await Promise.all([moveAround(), ...Array.from({ length: connections }, sendAll)]);
  await eventually(async () => {
    await site.postfix.flush();
    return (await site.postfix.waiting()).length === 0;
  }, 'the queue is empty');
  const homes = { mia: 'b', alice: 'a', bob: 'b' } as const;
  const lost = new Set(sent.keys());
  const misplaced: string[] = [];
  const twice: string[] = [];
  for (const [user, home] of Object.entries(homes)) {
    const seen = new Set<string>();
    for (const id of await site.inbox(home, user)) {
      if (seen.has(id)) twice.push(id);
      seen.add(id);
      const owner = sent.get(id);
      // Another run's, else misplaced if it is not this user's.
      if (owner !== undefined && owner !== user) misplaced.push(id);
      lost.delete(id);
    }
    // A move copies: what the old server still has must be at home, too.
    for (const id of await site.inbox(home === 'a' ? 'b' : 'a', user)) if (!seen.has(id)) misplaced.push(id);
  }
  return { mails: sent.size, lost: [...lost], misplaced, twice };
}
