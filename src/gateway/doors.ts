import { createDoor, type DoorOptions } from './door.ts';
import { listen, portOf } from './listening.ts';
import type { Reception } from './reception.ts';

/** The doors of this process: the public one, and the console's where that has an address of its own. */
export interface Doors extends Reception {
  /** Binds them. Rejects with what the operator must change. */
  open(): Promise<void>;
  /** Open WebSockets and the like, for the metrics. */
  upgrades(): Iterable<{ readonly backend: string; readonly count: number }>;
  /** Ends those whose users have left the host that they lead to. */
  endAstray(): void;
}

export function createDoors(options: Omit<DoorOptions, 'serves'>): Doors {
  const { config } = options;
  const door = createDoor({ ...options, serves: 'public' });
  const consoleListen = config.support?.listen;
  const consoleDoor = consoleListen === undefined ? undefined : createDoor({ ...options, serves: 'console' });
  return {
    get ports() {
      const console = consoleDoor === undefined ? {} : { console: portOf(consoleDoor.server) };
      return { public: portOf(door.server), ...console };
    },
    async open() {
      await listen(door.server, config.listen);
      if (consoleDoor !== undefined && consoleListen !== undefined) await listen(consoleDoor.server, consoleListen);
    },
    isOpen: () => door.server.listening,
    upgrades: () => door.upgrades.stats(),
    endAstray: () => door.upgrades.endAstray(),
    lastCall() {
      door.lastCall();
      consoleDoor?.lastCall();
    },
    async drain(signal) {
      await Promise.all([door.drain(signal), consoleDoor?.drain(signal)]);
    },
  };
}
