import { isIPv4, isIPv6, SocketAddress } from 'node:net';

/**
 * A connection as a PROXY protocol header describes it. `local`: the proxy speaks for itself, or does not know the
 * client; the addresses of the connection itself hold.
 */
export type ProxyHeader =
  | { readonly kind: 'local' }
  | {
      readonly kind: 'proxied';
      readonly source: { readonly address: string; readonly port: number };
      /** The port that the client connected to. */
      readonly destinationPort: number;
      /** Whether the client spoke TLS to the proxy; undefined if the header does not say (version 1 never does). */
      readonly tls: boolean | undefined;
    };

/** The result of reading a header. `incomplete`: more bytes are needed. `absent`: the bytes do not begin a header. */
export type ProxyHeaderReading =
  | { readonly kind: 'header'; readonly header: ProxyHeader; readonly length: number }
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'malformed'; readonly why: string };

const signature2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const signature1 = Buffer.from('PROXY ', 'latin1');
const maxLineBytes = 107;
/**
 * Maximum size of a binary header. Addresses take at most 36 bytes; the longest TLVs are names in client certificates.
 */
const maxBinaryBytes = 4096;
const fixedHeaderBytes = 16;

/**
 * Reads a header of version 1 or 2 from the first bytes of a connection.
 *
 * Source: "The PROXY protocol", versions 1 and 2, in HAProxy's doc/proxy-protocol.txt. The header is trusted, so read
 * it only on connections of trusted proxies.
 */
export function readProxyHeader(bytes: Buffer): ProxyHeaderReading {
  if (startsAs(bytes, signature2))
    return bytes.length < fixedHeaderBytes ? { kind: 'incomplete' } : readVersion2(bytes);
  if (startsAs(bytes, signature1)) return readVersion1(bytes);
  return { kind: 'absent' };
}

/** Whether the bytes are the beginning of `signature`, or begin with it. */
function startsAs(bytes: Buffer, signature: Buffer): boolean {
  const length = Math.min(bytes.length, signature.length);
  return bytes.compare(signature, 0, length, 0, length) === 0;
}

function readVersion1(bytes: Buffer): ProxyHeaderReading {
  const end = bytes.subarray(0, maxLineBytes).indexOf('\r\n');
  if (end === -1) {
    return bytes.length < maxLineBytes
      ? { kind: 'incomplete' }
      : malformedHeader('the line does not end within 107 bytes');
  }
  const length = end + 2;
  const [, protocol, ...parts] = bytes.toString('latin1', 0, end).split(' ');
  if (protocol === 'UNKNOWN') return { kind: 'header', header: { kind: 'local' }, length };
  const isAddress = protocol === 'TCP4' ? isIPv4 : protocol === 'TCP6' ? isBareIPv6 : undefined;
  if (isAddress === undefined) return malformedHeader('the protocol is none of TCP4, TCP6 and UNKNOWN');
  const [source = '', destination = '', sourcePort = '', destinationPort = ''] = parts;
  if (parts.length !== 4 || !isAddress(source) || !isAddress(destination))
    return malformedHeader('the addresses are not two');
  if (!isPort(sourcePort) || !isPort(destinationPort)) return malformedHeader('the ports are not two');
  return {
    kind: 'header',
    header: {
      kind: 'proxied',
      source: { address: protocol === 'TCP4' ? source : oneSpelling(source), port: Number(sourcePort) },
      destinationPort: Number(destinationPort),
      tls: undefined,
    },
    length,
  };
}

function readVersion2(bytes: Buffer): ProxyHeaderReading {
  const versionAndCommand = bytes.readUInt8(12);
  const command = versionAndCommand & 0x0f;
  if (versionAndCommand >> 4 !== 2) return malformedHeader('the version is not 2');
  if (command > 1) return malformedHeader('the command is neither LOCAL nor PROXY');
  const length = fixedHeaderBytes + bytes.readUInt16BE(14);
  if (length > maxBinaryBytes) return malformedHeader(`the header is longer than ${maxBinaryBytes} bytes`);
  if (bytes.length < length) return { kind: 'incomplete' };
  const local: ProxyHeaderReading = { kind: 'header', header: { kind: 'local' }, length };
  if (command === 0) return local;

  const familyAndTransport = bytes.readUInt8(13);
  // UNSPEC and UNIX streams have no address of use here; those of the connection hold.
  if (familyAndTransport === 0x00 || familyAndTransport === 0x31) return local;
  if (familyAndTransport !== 0x11 && familyAndTransport !== 0x21) return malformedHeader('the connection is not TCP');
  const width = familyAndTransport === 0x11 ? 4 : 16;
  const portsAt = fixedHeaderBytes + 2 * width;
  const extrasAt = portsAt + 4;
  if (length < extrasAt) return malformedHeader('the addresses are cut off');
  const tls = readTls(bytes.subarray(extrasAt, length));
  if (tls === 'malformed') return malformedHeader('an extra field is cut off');
  return {
    kind: 'header',
    header: {
      kind: 'proxied',
      source: {
        address: addressIn(bytes.subarray(fixedHeaderBytes, fixedHeaderBytes + width)),
        port: bytes.readUInt16BE(portsAt),
      },
      destinationPort: bytes.readUInt16BE(portsAt + 2),
      tls,
    },
    length,
  };
}

const sslType = 0x20;
const clientUsedTls = 0x01;

/** Walks the type-length-value fields behind the addresses. */
function readTls(extras: Buffer): boolean | undefined | 'malformed' {
  let tls: boolean | undefined;
  let at = 0;
  while (at < extras.length) {
    if (at + 3 > extras.length) return 'malformed';
    const start = at + 3;
    const end = start + extras.readUInt16BE(at + 1);
    if (end > extras.length) return 'malformed';
    if (extras.readUInt8(at) === sslType) {
      // One byte of flags, and four of the verification result of the client's certificate.
      if (end - start < 5) return 'malformed';
      tls = (extras.readUInt8(start) & clientUsedTls) !== 0;
    }
    at = end;
  }
  return tls;
}

function addressIn(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  return oneSpelling(bytes.toString('hex').replace(/.{4}(?=.)/g, '$&:'));
}

function oneSpelling(address: string): string {
  return new SocketAddress({ address, family: 'ipv6' }).address;
}

/** Whether it is an IPv6 address without a zone, which would have a meaning on the proxy only. */
function isBareIPv6(text: string): boolean {
  return isIPv6(text) && !text.includes('%');
}

function isPort(text: string): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}

function malformedHeader(why: string): ProxyHeaderReading {
  return { kind: 'malformed', why };
}
