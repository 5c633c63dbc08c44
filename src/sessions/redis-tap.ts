import { BasicPooledClientSideCache } from '@redis/client';

/** What the tap calls. Both may be called more than once for one event. */
export interface TapListener {
  /** A key under one of the prefixes changed, expired or went. */
  invalidated(redisKey: string): void;
  /** Changes may have been missed: the connection broke, or the server forgot everything. */
  gap(): void;
}

type HandleCache = BasicPooledClientSideCache['handleCache'];

/**
 * Tells of changes to keys under some prefixes by Redis' own client tracking, and caches nothing.
 *
 * It sits where node-redis has its client-side cache, because only there a client, a cluster and a sentinel client
 * alike pass on invalidations and turn tracking on again at each connection. BCAST needs no read before it tells.
 * Not NOLOOP: Redis notes one author per key and event-loop round, so that another node's change could get lost
 * behind our own.
 */
export class InvalidationTap extends BasicPooledClientSideCache {
  readonly #prefixes: readonly string[];
  readonly #listener: TapListener;
  #isWatching = true;

  constructor(prefixes: readonly string[], listener: TapListener) {
    super();
    this.#prefixes = prefixes;
    this.#listener = listener;
  }

  override async handleCache(...[, , run, transform, typeMapping]: Parameters<HandleCache>): ReturnType<HandleCache> {
    const reply = await run();
    return transform === undefined ? reply : transform(reply, undefined, typeMapping);
  }

  /** False once the server was found to have no client tracking, or not to allow it. */
  get isWatching(): boolean {
    return this.#isWatching;
  }

  /** From the next connection on tracking is not asked for, and changes are not told. */
  giveUp(): void {
    this.#isWatching = false;
  }

  override trackingOn(): string[] {
    // The client sends some command in its place: this one is allowed to everybody who may read anything here.
    if (!this.#isWatching) return ['EXISTS', `${this.#prefixes[0]}{none}`];
    return ['CLIENT', 'TRACKING', 'ON', 'BCAST', ...this.#prefixes.flatMap((prefix) => ['PREFIX', prefix])];
  }

  override invalidate(key: Parameters<BasicPooledClientSideCache['invalidate']>[0]): void {
    if (key === null) this.#listener.gap();
    else this.#listener.invalidated(key.toString());
  }

  override onError(): void {
    this.#listener.gap();
  }

  override onClose(): void {
    this.#listener.gap();
  }
}
