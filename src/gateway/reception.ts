/** What takes the connections of users: the listeners of this process, or workers that have them. */
export interface Reception {
  /** Bound ports, for configurations that say 0. */
  readonly ports: { readonly public: number; readonly console?: number };
  isOpen(): boolean;
  /** From now on each answer is the last one on its connection; nothing is refused yet. */
  lastCall(): void;
  /** Takes nothing new, and resolves when all that is in flight has ended or the signal says so. */
  drain(signal: AbortSignal): Promise<void>;
}
