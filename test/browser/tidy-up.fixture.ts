import { after } from 'node:test';
import { lab } from '../lab/lab.ts';

/** The folders to which the letters of these tests go. */
const folders = [
  ['a', 'alice@example.test', 'INBOX'],
  ['a', 'alice@example.test', 'Sent'],
  ['a', 'alice@example.test', 'Drafts'],
  ['b', 'bob@example.test', 'INBOX'],
] as const;

/**
 * Removes the letters with this word in their subject after the tests of the suite that calls it, so that mailboxes stay
 * as they were seeded. To be called in the last suite of a file, where the lab is still there.
 */
export function removeLetters(word: string): void {
  after(async () => {
    for (const [backend, user, folder] of folders) {
      await lab('doveadm', backend, 'expunge', '-u', user, 'mailbox', folder, 'SUBJECT', word);
    }
  });
}
