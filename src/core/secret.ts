import { inspect } from 'node:util';

/**
 * A value that must never be printed: a password, a key, the credential of a store.
 *
 * It is wrapped where it is parsed and opened only where it is used. String conversion, JSON and `util.inspect`, and
 * therefore every log and error message, show `[secret]`.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** Returns the wrapped value. Call it as late as possible, and never to build a message. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [inspect.custom](): string {
    return '[secret]';
  }
}
