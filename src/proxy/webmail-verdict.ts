import type { Transform } from 'node:stream';
import { constants, createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import type { Ingress, RequestHead } from '../core/http.ts';
import type { LiveSession } from '../core/session.ts';
import type { LostAnswer, SilentLogin, Verdict } from '../core/webmail.ts';
import { destinationOf, type IncomingHead, isPageRequest } from './request-head.ts';
import type { UpstreamHead } from './response-headers.ts';
import type { UpstreamRequest } from './upstream-request.ts';

/**
 * The next step for a lost session after a silent login. `redirect`: the tab loads the page again. `replay`: the
 * gateway repeats the request. `say-again`: the webmail's script is to repeat it. `hand-on-healed`: the script
 * gets the webmail's own answer, and its next request finds a session.
 */
export type HealingStep = 'redirect' | 'replay' | 'say-again' | 'hand-on-healed';

/**
 * The next step after an answer. `hand-on-lost`: a fresh session was lost at once, and the webmail's own script knows
 * what to do with the answer. `say-outdated`: an outdated page is told that nothing was done.
 */
export type RecoveryStep = 'hand-on' | 'hand-on-lost' | 'signed-out' | 'say-outdated' | HealingStep;

/** The request as it was sent. */
interface SentRequest {
  readonly hasBody: boolean;
  readonly replayed: boolean;
  /** Whether the driver allows a read to be repeated without its page knowing. */
  readonly mayReplay: boolean;
  /** Whether the driver has an answer that makes the webmail's script repeat this request. */
  readonly scriptRepeats: boolean;
  /**
   * Whether the webmail keeps a form that was posted without a session, and shows it again on the page of that form.
   */
  readonly keepsForms: boolean;
}

/** The next step after a verdict. A request with a body is never sent twice, and no request more than twice. */
export function stepAfter(verdict: Verdict, head: RequestHead, sent: SentRequest): RecoveryStep {
  if (verdict === 'alive') return 'hand-on';
  if (verdict === 'signed-out') return 'signed-out';
  if (verdict === 'outdated') return 'say-outdated';
  if (isPageRequest(head)) return 'redirect';
  const isForm = head.method === 'POST' && destinationOf(head).destination !== 'other';
  if (isForm && sent.keepsForms) return 'redirect';
  const reads = head.method === 'GET' || head.method === 'HEAD';
  if (sent.replayed) return 'hand-on-lost';
  if (reads && !sent.hasBody && sent.mayReplay) return 'replay';
  return sent.scriptRepeats ? 'say-again' : 'hand-on-healed';
}

/** The result of {@link heal}. `too-often`: the session was lost again too soon after it was healed. */
export type Healed =
  | { readonly kind: 'healed'; readonly landing: string; readonly browserCookies: readonly string[] }
  | { readonly kind: 'rejected' }
  | { readonly kind: 'too-often' };

/** A session that its webmail has lost. `generation`: that of the jar when the request was sent. */
interface LostSession {
  readonly session: LiveSession;
  readonly generation: number;
  readonly ingress: Ingress;
  /** The landing page of the backend. */
  readonly landing: string;
  readonly answer: LostAnswer;
}

/**
 * Signs in to the webmail again, unless another request has done so since this one was sent. Rejects with source
 * `webmail` if the webmail could not be asked.
 */
export async function heal(lost: LostSession, silentLogin: SilentLogin): Promise<Healed> {
  const { session, generation, ingress, landing, answer } = lost;
  if (session.jar.generation !== generation) return { kind: 'healed', landing, browserCookies: [] };
  const outcome = await silentLogin(session, ingress.client, ingress.publicUrl.origin, answer);
  return outcome.kind === 'signed-in' ? { ...outcome, kind: 'healed' } : outcome;
}

/** Bytes of the decoded body that a driver sees, unless it asks for more. */
const defaultJudgedBytes = 8 * 1024;
const maxJudgedBytes = 1024 * 1024;
/** How long an answer may wait for its verdict before it is passed on as it is. */
const verdictDeadlineMs = 10_000;

/** An answer that waits for the driver's verdict: its head, and the raw body so far. */
export class PendingVerdict {
  readonly upstream: UpstreamHead;
  held: Buffer[] = [];
  readonly #head: IncomingHead;
  readonly #driver: UpstreamRequest['driver'];
  #start: DecodedStart | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor({ head, driver }: Pick<UpstreamRequest, 'head' | 'driver'>, upstream: UpstreamHead) {
    this.#head = head;
    this.#driver = driver;
    this.upstream = upstream;
  }

  /** The verdict by the heads; undefined if the body is needed. */
  byHead(): Verdict | undefined {
    const { status } = this.upstream;
    const verdict = this.#driver.judge(this.#head, this.upstream);
    if (verdict !== 'look-inside') return verdict;
    const hasBody = this.#head.method !== 'HEAD' && status !== 204 && status !== 304;
    if (this.#driver.judgeBody === undefined || !hasBody) return 'alive';
    const wanted = Math.min(this.#driver.judgedBytes?.(this.#head) ?? defaultJudgedBytes, maxJudgedBytes);
    this.#start = new DecodedStart(this.upstream.header('content-encoding'), wanted);
    return undefined;
  }

  /** Calls `looked` if the body takes too long to arrive; the verdict is `alive` then. */
  lookNoLonger(looked: () => void): void {
    const giveUp = (): void => {
      this.#start?.giveUp();
      looked();
    };
    this.#timer = setTimeout(giveUp, verdictDeadlineMs).unref();
  }

  /** Calls `looked` once the chunk is decoded; then `enough` says whether the driver has all that it may see. */
  feed(chunk: Buffer, looked: () => void): void {
    this.held.push(chunk);
    this.#start?.feed(chunk, looked);
  }

  end(looked: () => void): void {
    this.#start?.end(looked);
  }

  get enough(): boolean {
    return this.#start?.over === true;
  }

  /** The verdict by the body. `complete`: whether the body has ended. Call it once, after `feed` or `end`. */
  byBody(complete: boolean): Verdict {
    const bytes = this.#start?.bytes ?? new Uint8Array();
    const isKnown = this.#start?.gaveUp !== true;
    this.close();
    if (!isKnown) return 'alive';
    return this.#driver.judgeBody?.(this.#head, bytes, complete) ?? 'alive';
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#start?.close();
    this.#start = undefined;
  }
}

/** Encoded bytes allowed beyond `limit` decoded ones: empty blocks can go on for ever. */
const spareRawBytes = 64 * 1024;
/** The maximum window on the web, 8 MiB (RFC 9659). A decoder reserves the window that a body announces. */
const zstdWindowLog = 23;
/** The window that encoders choose by default, 4 MiB. */
const brotliWindowBits = 22;

/**
 * Decodes the first `limit` bytes of a body as it arrives; the caller keeps the raw bytes. A body that is broken, in an
 * unknown coding, or too expensive to decode gives no more bytes. Call `close` once it is no longer wanted.
 */
export class DecodedStart {
  readonly #limit: number;
  readonly #coding: string | undefined;
  readonly #decoder: Transform | undefined;
  readonly #parts: Uint8Array[] = [];
  #length = 0;
  #fed = 0;
  #over = false;
  #gaveUp = false;
  readonly #waiting = new Set<() => void>();

  constructor(coding: string | undefined, limit: number) {
    this.#limit = limit;
    this.#coding = coding?.trim().toLowerCase();
    const decoder = decoderOf(this.#coding);
    if (decoder === 'unknown') this.#over = true;
    if (decoder === 'unknown' || decoder === 'identity') return;
    this.#decoder = decoder;
    decoder.on('data', (part: Buffer) => this.#take(part));
    decoder.on('error', () => this.#finish());
    decoder.on('end', () => this.#finish());
  }

  /** Whether it needs no more input. */
  get over(): boolean {
    return this.#over;
  }

  /** Whether it ended because it would have taken too much. */
  get gaveUp(): boolean {
    return this.#gaveUp;
  }

  /** Stops decoding a body that is too expensive. */
  giveUp(): void {
    if (this.#over) return;
    this.#gaveUp = true;
    this.#finish();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  /** Calls `done` once the chunk is decoded; synchronously if there is nothing to decode. */
  feed(chunk: Buffer, done: () => void): void {
    if (this.#decoder === undefined || this.#over) {
      if (!this.#over) this.#take(chunk);
      done();
      return;
    }
    const isFirst = this.#fed === 0;
    this.#fed += chunk.length;
    if (this.#fed > this.#limit + spareRawBytes + chunk.length || (isFirst && this.#isTooWide(chunk))) {
      this.giveUp();
      done();
      return;
    }
    const once = this.#once(done);
    this.#decoder.write(chunk, once);
  }

  #isTooWide(chunk: Buffer): boolean {
    return this.#coding === 'br' && brotliWindow(chunk[0] ?? 0) > brotliWindowBits;
  }

  /** Calls `done` once all that was fed is decoded. */
  end(done: () => void): void {
    if (this.#decoder === undefined || this.#over) {
      this.#over = true;
      done();
      return;
    }
    this.#once(done);
    this.#decoder.end();
  }

  close(): void {
    this.#over = true;
    this.#waiting.clear();
    this.#decoder?.destroy();
  }

  #once(done: () => void): () => void {
    const once = (): void => {
      if (this.#waiting.delete(once)) done();
    };
    this.#waiting.add(once);
    return once;
  }

  #take(part: Uint8Array): void {
    const room = this.#limit - this.#length;
    if (room > 0) {
      const taken = part.subarray(0, room);
      this.#parts.push(taken);
      this.#length += taken.length;
    }
    if (this.#length >= this.#limit) this.#finish();
  }

  #finish(): void {
    this.#over = true;
    this.#decoder?.destroy();
    for (const once of this.#waiting) once();
  }
}

function decoderOf(coding: string | undefined): Transform | 'identity' | 'unknown' {
  switch (coding) {
    case undefined:
    case '':
    case 'identity':
      return 'identity';
    case 'gzip':
    case 'x-gzip':
      return createGunzip();
    case 'deflate':
      return createInflate();
    case 'br':
      return createBrotliDecompress();
    case 'zstd':
      return createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: zstdWindowLog } });
    default:
      return 'unknown';
  }
}

/** The bits of the window that a brotli stream announces (RFC 7932, 9.1); 24 if they are not valid. */
function brotliWindow(first: number): number {
  if ((first & 1) === 0) return 16;
  const high = (first >> 1) & 7;
  if (high > 0) return 17 + high;
  const low = (first >> 4) & 7;
  if (low === 0) return 17;
  return low === 1 ? 24 : 8 + low;
}
