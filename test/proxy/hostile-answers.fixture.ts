/** A good answer. */
export const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
/** Another answer, to no request. */
export const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nSet-Cookie: evil=1\r\n\r\nevil';

/** The part of it that the client may see: a 502, an answer that was cut, or an answer that is whole. */
type Seen = 'failure' | 'cut' | RegExp;

/** Answers of a backend that breaks the protocol or means harm, and what the client may see of them. */
export const hostileAnswers: readonly (readonly [name: string, bytes: string, seen: Seen])[] = [
  [
    'a length and a coding',
    `HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n${evil}`,
    'failure',
  ],
  [
    'a coding and a length',
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n${evil}`,
    'failure',
  ],
  ['two lengths that differ', `HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\nok${evil}`, 'failure'],
  ['a list of lengths', `HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok${evil}`, 'failure'],
  ['a negative length', `HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok${evil}`, 'failure'],
  ['a length beyond 64 bits', `HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551618\r\n\r\nok${evil}`, 'failure'],
  [
    'a carriage return in a value',
    `HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: evil=1\r\nContent-Length: 2\r\n\r\nok`,
    'failure',
  ],
  [
    'a bare line feed between fields',
    `HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: evil=1\r\nContent-Length: 2\r\n\r\nok`,
    'failure',
  ],
  ['a NUL in a value', `HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok`, 'failure'],
  ['a space before the colon', `HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok`, 'failure'],
  ['a status of two digits', `HTTP/1.1 99 Odd\r\nContent-Length: 2\r\n\r\nok`, 'failure'],
  ['a status of four digits', `HTTP/1.1 2000 Odd\r\nContent-Length: 2\r\n\r\nok`, 'failure'],
  ['HTTP/0.9', `<html>evil</html>\r\n\r\n`, 'failure'],
  ['HTTP/2', `HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok`, 'failure'],
  ['an endless line', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(70_000)}`, 'failure'],
  [
    'an uninvited 101',
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: evil\r\nConnection: Upgrade\r\n\r\n${evil}`,
    'failure',
  ],
  ['a wrong chunk size', `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nevil\r\n`, 'cut'],
  [
    'a chunk that is longer than its size',
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok${evil}`,
    'cut',
  ],
  [
    'a chunk size with a prefix',
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n`,
    'failure',
  ],
  ['no chunks where its head says so', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n<html>evil=1', 'failure'],
  ['a head with a length, and hangs up', 'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n', 'failure'],
  ['a second answer behind the first', `${ok}${evil}`, /\r\n\r\nok$/],
  [
    'a body on 204',
    `HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil`,
    /^HTTP\/1\.1 204 (?![^]*Content-Length)[^]*\r\n\r\n$/,
  ],
  ['a body on 304', `HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n${evil}`, /^HTTP\/1\.1 304 [^]*\r\n\r\n$/],
  [
    'a hundred early hints',
    `${'HTTP/1.1 103 Early Hints\r\nLink: </evil>\r\n\r\n'.repeat(100)}${ok}`,
    /^HTTP\/1\.1 200 [^]*\r\n\r\nok$/,
  ],
  ['early hints without end', `${'HTTP/1.1 103 Early Hints\r\nLink: </evil>\r\n\r\n'.repeat(101)}${ok}`, 'failure'],
  [
    'trailers',
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Set-Cookie\r\n\r\n2\r\nok\r\n0\r\nSet-Cookie: evil=1\r\n\r\n`,
    /^HTTP\/1\.1 200 [^]*2\r\nok\r\n0\r\n\r\n$/,
  ],
  [
    'a folded line',
    `HTTP/1.1 200 OK\r\nX: a\r\n Set-Cookie: evil=1\r\nContent-Length: 2\r\n\r\nok`,
    /^(?:HTTP\/1\.1 502 |HTTP\/1\.1 200 (?![^]*\r\n(?: |Set-Cookie))[^]*ok$)/,
  ],
  [
    'our own cookie',
    `HTTP/1.1 200 OK\r\nSet-Cookie: postern=evil; Path=/\r\nSet-Cookie: __Host-postern=evil; Path=/; Secure\r\nContent-Length: 2\r\n\r\nok`,
    /^HTTP\/1\.1 200 (?![^]*Set-Cookie)[^]*ok$/,
  ],
  [
    'our own internal fields',
    `HTTP/1.1 200 OK\r\nX-Accel-Redirect: /evil\r\nX-Sendfile: /evil\r\nX-Postern-User: evil\r\nClear-Site-Data: "evil"\r\nAlt-Svc: evil\r\nContent-Length: 2\r\n\r\nok`,
    /^HTTP\/1\.1 200 (?![^]*evil)[^]*ok$/,
  ],
  [
    'a field that Connection names',
    `HTTP/1.1 200 OK\r\nConnection: close, X-Evil\r\nX-Evil: evil\r\nContent-Length: 2\r\n\r\nok`,
    /^HTTP\/1\.1 200 (?![^]*evil)[^]*ok$/,
  ],
  [
    'a thousand cookies',
    `HTTP/1.1 200 OK\r\n${Array.from({ length: 300 }, (_, i) => `Set-Cookie: c${i}=1; HttpOnly`).join('\r\n')}\r\nContent-Length: 2\r\n\r\nok`,
    /^HTTP\/1\.1 200 (?![^]*Set-Cookie)[^]*ok$/,
  ],
];

/** A body as one chunk, and its end. */
const chunk = (body: string): string => `${Buffer.byteLength(body, 'latin1').toString(16)}\r\n${body}\r\n0\r\n\r\n`;

/** Heads with a fault, but with a clear meaning. */
export const mendedHeads: readonly (readonly [name: string, bytes: string, head: RegExp, body: string])[] = [
  [
    'a line feed in the name of an attachment',
    'HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename="a\nb.pdf"\r\nContent-Length: 4\r\n\r\n%PDF',
    /\r\nContent-Disposition: attachment; filename="a b\.pdf"(?=\r\n|$)/,
    '%PDF',
  ],
  [
    'a line feed that would begin another field',
    'HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: evil=1\r\nContent-Length: 4\r\n\r\n%PDF',
    /\r\nX: a Set-Cookie: evil=1\r\n/,
    '%PDF',
  ],
  [
    'line feeds that would begin the body',
    'HTTP/1.1 200 OK\r\nX: a\n\n<script>evil</script>\r\nContent-Length: 4\r\n\r\n%PDF',
    /\r\nX: a {2}<script>/,
    '%PDF',
  ],
  [
    'a carriage return that would begin another field',
    'HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: evil=1\r\nContent-Length: 4\r\n\r\n%PDF',
    /\r\nX: a Set-Cookie: evil=1\r\n/,
    '%PDF',
  ],
  ['a NUL', 'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 4\r\n\r\n%PDF', /\r\nX: a b\r\n/, '%PDF'],
  [
    'a field whose name is none',
    'HTTP/1.1 200 OK\r\nX y: a\r\n(no field)\r\nContent-Length: 4\r\n\r\n%PDF',
    /^(?![^]*(?:X y|no field))/,
    '%PDF',
  ],
  ['a blank before the colon', 'HTTP/1.1 200 OK\r\nContent-Length : 4\r\n\r\n%PDF', /\r\nContent-Length: 4/, '%PDF'],
  [
    'a head of 20 KiB',
    `HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename="${'x'.repeat(20 * 1024)}"\r\nContent-Length: 4\r\n\r\n%PDF`,
    /filename="x{20480}"/,
    '%PDF',
  ],
  [
    'two lengths',
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 4\r\n\r\n%PDF',
    /^(?![^]*Content-Length)/,
    chunk('%PDF'),
  ],
  ['the same length twice', 'HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\n%PDF', /\r\nContent-Length: 4/, '%PDF'],
  ['a negative length', 'HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n%PDF', /^(?![^]*Content-Length)/, chunk('%PDF')],
  [
    'a length that is no number',
    'HTTP/1.1 200 OK\r\nContent-Length: 4 bytes\r\n\r\n%PDF',
    /^(?![^]*Content-Length)/,
    chunk('%PDF'),
  ],
  [
    'a control character beside a chunked body',
    'HTTP/1.1 200 OK\r\nX: \x01\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n%PDF\r\n0\r\n\r\n',
    /\r\nTransfer-Encoding: chunked/,
    chunk('%PDF'),
  ],
  [
    'lines that all end in a bare line feed',
    'HTTP/1.1 200 OK\nContent-Type: application/pdf\nSet-Cookie: evil=1\nContent-Length: 4\n\n%PDF',
    /^(?![^]*Set-Cookie)[^]*\r\nContent-Security-Policy: sandbox/,
    '%PDF',
  ],
  [
    'a control character behind an announcement',
    'HTTP/1.1 103 Early Hints\r\nLink: \x01\r\n\r\nHTTP/1.1 200 OK\r\nX: \x01\r\nContent-Length: 4\r\n\r\n%PDF',
    /^HTTP\/1\.1 200 /,
    '%PDF',
  ],
];

/** Heads without a clear meaning. */
export const refusedHeads: readonly (readonly [name: string, bytes: string])[] = [
  [
    'a length and a coding',
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
  ],
  ['another coding', 'HTTP/1.1 200 OK\r\nX: \x01\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'],
  ['a coding twice', 'HTTP/1.1 200 OK\r\nX: \x01\r\nTransfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'],
  ['no head at all', '<html>evil</html>\r\n\r\n'],
  ['another version', 'HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok'],
  ['a status of two digits', 'HTTP/1.1 99 Odd\r\nContent-Length: 2\r\n\r\nok'],
  ['a switch of protocols', 'HTTP/1.1 101 Switching\r\nUpgrade: evil\r\nConnection: Upgrade\r\nX: \x01\r\n\r\nevil'],
  ['a head of 70 KB', `HTTP/1.1 200 OK\r\nX: \x01${'x'.repeat(70_000)}\r\n\r\nok`],
  ['half a head', 'HTTP/1.1 200 OK\r\nX: \x01\r\nContent-Le'],
  [
    'announcements without end',
    `${'HTTP/1.1 103 Early Hints\r\nLink: \x01\r\n\r\n'.repeat(101)}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`,
  ],
];
