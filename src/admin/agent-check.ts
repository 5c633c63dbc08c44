import { createServer, type Server } from 'node:net';

/** `up`: serves. `drain`: serves what it has and wants nothing new. `down`: does not serve. */
export type AgentState = 'up' | 'drain' | 'down';

export interface AgentCheckDeps {
  readonly state: () => AgentState;
  /** The percentage of its configured weight that the balancer shall give this node. */
  readonly weight: () => number;
}

/** HAProxy writes nothing unless `agent-send` is set, and reads one line. */
const patienceMs = 2_000;

/**
 * The listener that HAProxy's `agent-check` connects to: says one line and closes. Call `listen` on it.
 *
 * Source: HAProxy's configuration manual, `agent-check`. A draining node says weight 0 and not the word `drain`: the
 * effect is the same, but `drain` sets the server's administrative state, which only `ready` takes back, and that
 * would also undo what an administrator of the balancer has set by hand.
 */
export function createAgentCheck({ state, weight }: AgentCheckDeps): Server {
  const line = (): string => {
    const now = state();
    return now === 'down' ? 'down\n' : `up ${now === 'drain' ? 0 : weight()}%\n`;
  };
  return createServer((socket) => {
    socket.setTimeout(patienceMs, () => socket.destroy());
    // Who has read the line may be gone already.
    socket.on('error', () => socket.destroy());
    socket.resume().end(line());
  });
}
