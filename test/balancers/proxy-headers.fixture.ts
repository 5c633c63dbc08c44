/** A version 2 header, built as the PROXY protocol's document says. */
export interface BinaryHeader {
  readonly versionAndCommand?: number;
  readonly familyAndTransport?: number;
  readonly addresses?: readonly number[];
  readonly extras?: readonly number[];
  /** A length other than the real one. */
  readonly length?: number;
}

const from4 = [192, 0, 2, 7];
const to4 = [198, 51, 100, 1];
const ports = [0x30, 0x39, 0x01, 0xbb];

/** The addresses of an IPv4 connection, by default from 192.0.2.7:12345 to 198.51.100.1:443. */
export function binaryHeader(header: BinaryHeader = {}): Buffer {
  const { versionAndCommand = 0x21, familyAndTransport = 0x11, extras = [] } = header;
  const rest = [...(header.addresses ?? [...from4, ...to4, ...ports]), ...extras];
  const length = header.length ?? rest.length;
  const fixed = [versionAndCommand, familyAndTransport, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1'), Buffer.from([...fixed, ...rest])]);
}

/** The field that says whether the client used TLS, with the version inside. */
export function tlsField(used: boolean): readonly number[] {
  const inner = [used ? 1 : 0, 0, 0, 0, 0, 0x21, 0, 7, ...Buffer.from('TLSv1.3')];
  return [0x20, 0, inner.length, ...inner];
}

/** The addresses of an IPv6 connection from 2001:db8::7, port 12345, to 2001:db8::1, port 443. */
export const addresses6: readonly number[] = [...ipv6(7), ...ipv6(1), ...ports];

function ipv6(last: number): readonly number[] {
  return [0x20, 0x01, 0x0d, 0xb8, ...Array.from({ length: 11 }, () => 0), last];
}
