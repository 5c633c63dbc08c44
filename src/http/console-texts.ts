/** Why a mailbox cannot be opened, as staff read it. `detail` stands behind those that have one. */
const texts: Readonly<Record<string, string>> = {
  'not-support': 'Only staff with the role support open mailboxes.',
  domain: 'Your role does not cover the domain of this user.',
  oneself: 'Nobody opens the own mailbox here: sign in to it.',
  staff: 'Nobody opens the mailbox of a member of staff.',
  'never-opened': 'This mailbox is on the list of those that are never opened.',
  'unknown-user': 'There is no such user.',
  suspended: 'The directory lets this user in nowhere:',
  'no-entry': 'The webmail of this backend cannot be entered without the password:',
  unproven: 'A fresh code of your app is needed.',
  reason: 'Please give a reason of at least 10 characters.',
  ticket: 'The ticket is too long.',
  minutes: 'Please choose one of the durations.',
};

export function refusalText({ why, detail }: { readonly why: string; readonly detail?: string }): string {
  return [texts[why] ?? `It is refused: ${why}.`, detail].filter((part) => part !== undefined).join(' ');
}
