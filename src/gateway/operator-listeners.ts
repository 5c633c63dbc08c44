import { once } from 'node:events';
import type { Server } from 'node:net';
import {
  type AgentCheckDeps,
  createAgentCheck,
  createOperatorsListener,
  type OperatorsDeps,
} from '../admin/listeners.ts';
import type { Config } from '../config/config.ts';
import type { ListenAddress } from '../schema/value-parsers.ts';
import { systemClock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import type { Log } from '../core/log.ts';
import { codeOf, thisUser } from '../core/named-files.ts';
import { createAddresses, resolveByTheSystem } from '../directory-service/addresses.ts';
import { createDirectoryService } from '../directory-service/listener.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { ConfigHolder, NodeStatistics } from './parts.ts';

/** Binds a server to its address. Rejects with a message for the operator if the address cannot be bound. */
export async function listen(server: Server, { host, port }: ListenAddress): Promise<void> {
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (cause) {
    const isForbidden = codeOf(cause) === 'EACCES' && port < 1024;
    const why = isForbidden
      ? `ports below 1024 need CAP_NET_BIND_SERVICE, which the user ${thisUser()} lacks: add low-ports.conf to the unit (docs/install.md), or choose a port from 1024 on`
      : 'does another process use it, or is it not an address of this machine?';
    const message = `cannot listen on ${host}:${port}: ${why}`;
    throw new PosternError('ERR_CONFIG_INVALID', message, { source: 'config', retryable: !isForbidden, cause });
  }
}

/** The TCP port on which a server listens. Throws a TypeError if it has none. */
export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('a listener on a port has a port');
  return address.port;
}

/** Opens the listeners for operators and their load balancers. Resolves with the port of the first. */
export async function openOperators(
  config: Config['operators'],
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

/**
 * Opens the listener that tells other proxies where users live. It reads the configuration in force for each question.
 */
export async function openDirectoryService(
  config: NonNullable<Config['directoryService']>,
  {
    holder,
    metrics,
    statistics,
    log,
  }: {
    readonly holder: ConfigHolder;
    readonly metrics: Metrics;
    readonly statistics: Pick<NodeStatistics, 'mailRouted'>;
    readonly log: Log;
  },
  opened: AsyncDisposableStack,
): Promise<void> {
  const service = createDirectoryService({
    async routeMail(typed, signal) {
      const route = await holder.current.routeMail(typed, signal);
      if (route.kind === 'found') statistics.mailRouted(route.user);
      return route;
    },
    addresses: createAddresses({ resolve: resolveByTheSystem, clock: systemClock, log }),
    settings: () => holder.config.directoryService ?? config,
    isAllowed: (address) => holder.current.mayAskForRoutes(address),
    observe: (protocol, result) => metrics.directoryServiceAnswered(protocol, result),
    log,
  });
  opened.defer(() => {
    service.close();
    service.closeAllConnections();
  });
  await listen(service, config.listen);
}
