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

export const people: readonly Person[] = [alice, bob, greta];

/** The domain that may be left out of a user name. */
export const domain = 'example.test';
