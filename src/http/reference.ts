/** Crockford's alphabet: what is read out on the telephone comes back as the same characters. */
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** A new reference id such as `7K3F-9QXM`: 40 bits, shown to the user and written to the log. */
export function newReference(randomBytes: (size: number) => Uint8Array): string {
  const characters = Array.from(randomBytes(8), (byte) => alphabet.charAt(byte & 31));
  return `${characters.slice(0, 4).join('')}-${characters.slice(4).join('')}`;
}
