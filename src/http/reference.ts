/** Crockford's alphabet: what is read out on the telephone comes back as the same characters. */
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** A new reference id such as `7K3F-9QXM`: 40 bits, shown to the user and written to the log. */
export function newReference(randomBytes: (size: number) => Uint8Array): string {
  let reference = '';
  for (const byte of randomBytes(8)) {
    if (reference.length === 4) reference += '-';
    reference += alphabet.charAt(byte & 31);
  }
  return reference;
}
