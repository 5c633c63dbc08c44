import { once } from 'node:events';
import type { Server } from 'node:net';
import { createAgentCheck, type AgentCheckDeps } from './admin/agent-check.ts';
import { createOperatorsListener, type OperatorsDeps } from './admin/operators.ts';
import type { OperatorsConfig } from './config/config.ts';
import type { ListenAddress } from './config/hosts.ts';
import { PosternError } from './core/error.ts';

/** Rejects with what the operator must change when the address cannot be bound. */
export async function listen(server: Server, { host, port }: ListenAddress): Promise<void> {
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (cause) {
    const message = `cannot listen on ${host}:${port}: is another process there, or is it no address of this machine?`;
    throw new PosternError('ERR_CONFIG_INVALID', message, { source: 'config', retryable: false, cause });
  }
}

export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('a listener on a port has a port');
  return address.port;
}

/** The listeners for operators and their load balancers. Resolves with the port of the first when both are bound. */
export async function openOperators(
  config: OperatorsConfig,
  deps: OperatorsDeps & AgentCheckDeps,
  opened: AsyncDisposableStack,
): Promise<number> {
  const operators = createOperatorsListener(deps);
  opened.defer(() => {
    operators.close();
    operators.closeAllConnections();
  });
  await listen(operators, config.listen);
  if (config.agentCheck !== undefined) {
    const agent = createAgentCheck(deps);
    opened.defer(() => void agent.close());
    await listen(agent, config.agentCheck);
  }
  return portOf(operators);
}
