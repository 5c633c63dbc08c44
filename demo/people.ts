/** A user of the demo. */
export interface Person {
  readonly name: string;
  readonly address: string;
  readonly password: string;
  /** The backend on which the mailbox lives. */
  readonly backend: 'a' | 'b';
}

export const alice: Person = {
  name: 'Alice Archer',
  address: 'alice@example.test',
  password: 'wonderland',
  backend: 'a',
};
export const bob: Person = { name: 'Bob Baker', address: 'bob@example.test', password: 'bread&butter', backend: 'b' };
export const greta: Person = {
  name: 'Greta Größe',
  address: 'greta@example.test',
  password: 'schön-grün',
  backend: 'b',
};

/** The member of staff who has a second factor for the console. */
export const sam: Person = { name: 'Sam Support', address: 'sam@example.test', password: 'helping-hand', backend: 'b' };

export const people: readonly Person[] = [alice, bob, greta];
/** Everybody with a mailbox. */
export const mailboxOwners: readonly Person[] = [...people, sam];

/** A master user of all mail servers. */
interface MasterUser {
  readonly name: string;
  readonly password: string;
}

/** The one who delivers mail between the backends. */
export const postman: MasterUser = { name: 'postman', password: 'rain-or-snow' };
/** The one by whom the gateway opens mailboxes for support. */
export const support: MasterUser = { name: 'support', password: 'with-consent' };
/** Name → password. */
export const masters: Readonly<Record<string, string>> = {
  [postman.name]: postman.password,
  [support.name]: support.password,
};

/** The domain that may be left out of a user name. */
export const domain = 'example.test';
