import type { KeyObject } from 'node:crypto';
import { openSealedText, sealText } from '../core/sealing.ts';
import { Secret } from '../core/secret.ts';

/** One of the server keys that all nodes share, as far as a vault uses it. */
interface VaultKey {
  readonly id: string;
  subkey(purpose: string): KeyObject;
}

/** The server keys of the moment: the promoted one seals, all open. */
export interface VaultKeys {
  readonly promoted: VaultKey;
  find(id: string): VaultKey | undefined;
}

/** Seals what only the gateway may read, and what is kept where others may read it. */
export interface Vault {
  seal(secret: Secret, owner: string): string;
  /** Nothing when it was sealed for another owner, was altered, or its key is gone. */
  open(sealed: string, owner: string): Secret | undefined;
}

const purpose = 'second factor';

/** A vault for second factors. The id of the key stands in front of what it seals. */
export function createVault(keys: () => VaultKeys, randomBytes: (size: number) => Buffer): Vault {
  return {
    seal(secret, owner) {
      const key = keys().promoted;
      return `${key.id}.${sealText(key.subkey(purpose), secret.reveal(), [purpose, owner], randomBytes)}`;
    },
    open(text, owner) {
      const dot = text.indexOf('.');
      const key = keys().find(text.slice(0, dot));
      const opened = key && openSealedText(key.subkey(purpose), text.slice(dot + 1), [purpose, owner]);
      return opened === undefined ? undefined : new Secret(opened);
    },
  };
}
