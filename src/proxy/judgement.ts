import type { Verdict } from '../core/webmail.ts';
import { DecodedStart } from './decoded-start.ts';
import type { Passage } from './passage.ts';
import type { IncomingHead } from './request-head.ts';
import type { UpstreamHead } from './response-headers.ts';

/** Bytes of the decoded body that a driver looks at, unless it asks for more. */
const judgedBytes = 8 * 1024;
const mostJudgedBytes = 1024 * 1024;
/** How long an answer may be looked at before it is passed on as it is. */
const lookMs = 10_000;

/** An answer that waits for the driver's verdict: its head, and what has come of its body, as it came. */
export class Judgement {
  readonly upstream: UpstreamHead;
  held: Buffer[] = [];
  readonly #head: IncomingHead;
  readonly #driver: Passage['driver'];
  #start: DecodedStart | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor({ head, driver }: Pick<Passage, 'head' | 'driver'>, upstream: UpstreamHead) {
    this.#head = head;
    this.#driver = driver;
    this.upstream = upstream;
  }

  /** The verdict where the heads tell it; else the body is needed. */
  byHead(): Verdict | undefined {
    const { status } = this.upstream;
    const verdict = this.#driver.judge(this.#head, this.upstream);
    if (verdict !== 'look-inside') return verdict;
    const hasBody = this.#head.method !== 'HEAD' && status !== 204 && status !== 304;
    if (this.#driver.judgeBody === undefined || !hasBody) return 'alive';
    const wanted = Math.min(this.#driver.judgedBytes?.(this.#head) ?? judgedBytes, mostJudgedBytes);
    this.#start = new DecodedStart(this.upstream.header('content-encoding'), wanted);
    return undefined;
  }

  /** Calls `looked` when the body takes too long to come; its answer is alive then. */
  lookNoLonger(looked: () => void): void {
    const giveUp = (): void => {
      this.#start?.giveUp();
      looked();
    };
    this.#timer = setTimeout(giveUp, lookMs).unref();
  }

  /** Calls `looked` once the chunk is decoded; `enough` then says whether the driver has all that it may see. */
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

  /** `complete`: whether the body has ended. To be asked once, after `feed` or `end`. */
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
