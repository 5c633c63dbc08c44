import { after } from 'node:test';
import { lab } from '../lab/lab.ts';

/** The folders to which the letters of these tests go. */
const folders = [
  ['a', 'alice@example.test', 'INBOX'],
  ['a', 'alice@example.test', 'Sent'],
  ['a', 'alice@example.test', 'Drafts'],
  ['b', 'bob@example.test', 'INBOX'],
] as const;

/** After the tests of a file: removes the letters with this word in their subject, so that mailboxes stay as they were seeded. */
export function removeLetters(word: string): void {
  after(async () => {
    for (const [backend, user, folder] of folders) {
      await lab('doveadm', backend, 'expunge', '-u', user, 'mailbox', folder, 'SUBJECT', word);
    }
  });
}
