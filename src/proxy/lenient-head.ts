import { Socket } from 'node:net';
import { httpToken } from '../core/cookie-jar.ts';
import { maxInformationalHeads, tooManyInformationalHeads } from './failure.ts';

/** Maximum size of a head, the same as in the strict parser. */
export const maxHeadBytes = 64 * 1024;

/** A head that a strict parser accepts, and the offset of the body in the bytes that were read. */
interface CleanedHead {
  readonly status: number;
  readonly head: string;
  readonly bodyAt: number;
}

type Field = readonly [name: string, value: string];

const statusLine = /^HTTP\/1\.[01] ([1-5]\d\d)(?: |$)/;
const controlCharacters = /[^\t\x20-\x7e\x80-\xff]/g;
/** Fields that redirect or are stored: a cleaned value could mean what nobody wrote. */
const droppedUnlessClean = new Set([
  'set-cookie',
  'location',
  'content-location',
  'refresh',
  'access-control-allow-origin',
  'access-control-allow-credentials',
]);
/** Fields that are rewritten, or that mean nothing on a connection that ends with this answer. */
const rewrittenFields = new Set([
  'connection',
  'keep-alive',
  'content-length',
  'transfer-encoding',
  'x-content-type-options',
]);

/**
 * Cleans the head of an answer that a strict parser refused, if its meaning is beyond doubt. Undefined if more bytes
 * are needed. Throws if the head cannot be understood, has two framings, or is too long.
 *
 * Control characters become spaces (RFC 9110, 5.5). An invalid length is left out, so that the body ends with the
 * connection. A bare line feed ends a line only if it ends all of them. In any other head it is a control character, so
 * that nobody can write fields or a body into the value of a field.
 */
function cleanHead(bytes: Buffer): CleanedHead | undefined {
  const text = bytes.toString('latin1', 0, maxHeadBytes + 1);
  const firstEnd = text.indexOf('\n');
  const byLineFeed = firstEnd !== -1 && text[firstEnd - 1] !== '\r';
  const end = firstEnd === -1 ? null : (byLineFeed ? /\n\r?\n/ : /\r\n\r\n/).exec(text);
  if (end === null) {
    if (text.length > maxHeadBytes) throw new Error('the head of the answer is too long');
    return undefined;
  }
  const [first = '', ...lines] = text.slice(0, end.index).split(byLineFeed ? /\r?\n/ : '\r\n');
  const status = Number(statusLine.exec(first)?.[1]);
  if (Number.isNaN(status) || status === 101) throw new Error('the answer has no status');
  const fields = fieldsIn(lines);
  const passed = fields.flatMap(([name, value]): Field[] => {
    const lower = name.toLowerCase();
    if (rewrittenFields.has(lower) || (lower === 'set-cookie' && byLineFeed)) return [];
    const cleaned = value.replaceAll(controlCharacters, ' ');
    // The webmail may have checked the whole value, to prevent HTML from being shown.
    if (cleaned !== value && lower === 'content-type') return [[name, 'application/octet-stream']];
    return cleaned !== value && droppedUnlessClean.has(lower) ? [] : [[name, cleaned]];
  });
  const own: Field[] = [
    ['Connection', connectionOf(fields)],
    ['X-Content-Type-Options', 'nosniff'],
    ...framingOf(fields),
  ];
  // If bare line feeds end the lines, two of them in a value begin the body. Such a body gets no rights here.
  if (byLineFeed) own.push(['Content-Security-Policy', 'sandbox']);
  const head = [...passed, ...own].map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return { status, head: `HTTP/1.1 ${status} \r\n${head}\r\n`, bodyAt: end.index + end[0].length };
}

/**
 * Reads the fields. Other lines are left out; a line that begins with a blank continues the last value (RFC 9112, 5.2).
 */
function fieldsIn(lines: readonly string[]): Field[] {
  const fields: [name: string, value: string][] = [];
  for (const line of lines) {
    const last = fields.at(-1);
    if (/^[ \t]/.test(line)) {
      if (last !== undefined) last[1] = `${last[1]} ${line.trim()}`;
      continue;
    }
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0)).trimEnd();
    if (httpToken.test(name)) fields.push([name, line.slice(colon + 1).trim()]);
  }
  return fields;
}

/** The framing of the body; no field if the connection ends it. Throws if there are two framings. */
function framingOf(fields: readonly Field[]): Field[] {
  const valuesOf = (wanted: string) =>
    fields
      .filter(([name]) => name.toLowerCase() === wanted)
      .flatMap(([, value]) => value.split(',').map((one) => one.trim()));
  const lengths = new Set(valuesOf('content-length'));
  const codings = valuesOf('transfer-encoding');
  if (codings.length > 0) {
    if (lengths.size > 0 || codings.join().toLowerCase() !== 'chunked') throw new Error('the answer has two framings');
    return [['Transfer-Encoding', 'chunked']];
  }
  const [length = ''] = lengths;
  return lengths.size === 1 && /^\d{1,15}$/.test(length) ? [['Content-Length', length]] : [];
}

/** The value of Connection: the connection ends, and the names of hop-by-hop fields stay. */
function connectionOf(fields: readonly Field[]): string {
  const named = fields
    .filter(([name]) => name.toLowerCase() === 'connection')
    .flatMap(([, value]) => value.split(',').map((one) => one.trim()))
    .filter((one) => httpToken.test(one) && !/^(?:close|keep-alive)$/i.test(one));
  return ['close', ...named].join(', ');
}

/**
 * A connection that cleans the head of its first answer. Everything after the head passes unchanged, and its reader
 * parses it strictly.
 */
export class HeadCleaningSocket extends Socket {
  readonly #inner: Socket;
  /** Bytes of the head so far; undefined once it has passed. */
  #pending: Buffer | undefined = Buffer.alloc(0);
  #announcements = 0;

  constructor(inner: Socket) {
    super({ allowHalfOpen: true });
    this.#inner = inner;
    inner.on('data', (chunk: Buffer) => this.#take(chunk));
    inner.on('end', () => this.push(null));
    inner.on('error', (error) => this.destroy(error));
    inner.on('close', (hadError) => {
      if (hadError || !inner.readableEnded) this.destroy();
    });
    inner.pause();
  }

  override _read(): void {
    this.#inner.resume();
  }

  override _write(chunk: Buffer | string, encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#inner.write(chunk, encoding, done);
  }

  override _writev(
    chunks: { readonly chunk: Buffer | string; readonly encoding: BufferEncoding }[],
    done: (error?: Error | null) => void,
  ): void {
    const parts = chunks.map(({ chunk, encoding }) =>
      typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk,
    );
    this.#inner.write(Buffer.concat(parts), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#inner.end(() => done());
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#inner.destroy();
    done(error);
    // A real socket emits 'close' itself, after its error.
    process.nextTick(() => this.emit('close', error !== null));
  }

  #take(chunk: Buffer): void {
    if (this.#pending === undefined) {
      if (!this.push(chunk)) this.#inner.pause();
      return;
    }
    this.#pending = Buffer.concat([this.#pending, chunk]);
    try {
      for (let cleaned = cleanHead(this.#pending); cleaned !== undefined; cleaned = cleanHead(this.#pending)) {
        this.#pending = this.#pending.subarray(cleaned.bodyAt);
        // Informational heads are left out.
        if (cleaned.status < 200) {
          this.#announcements += 1;
          if (this.#announcements > maxInformationalHeads) throw tooManyInformationalHeads();
          continue;
        }
        const body = this.#pending;
        this.#pending = undefined;
        this.push(Buffer.from(cleaned.head, 'latin1'));
        if (body.length > 0 && !this.push(body)) this.#inner.pause();
        return;
      }
    } catch (error) {
      this.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  }
}
