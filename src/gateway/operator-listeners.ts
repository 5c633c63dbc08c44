import { once } from 'node:events';
import type { Server } from 'node:net';
import {
  type AgentCheckDeps,
  type AgentState,
  createAgentCheck,
  createOperatorsListener,
  type OperatorsDeps,
} from '../admin/listeners.ts';
import type { Config } from '../config/config.ts';
import type { ListenAddress } from '../schema/value-parsers.ts';
import { systemClock } from '../core/clock.ts';
import { PosternError } from '../core/error.ts';
import type { Readiness } from '../core/http.ts';
import type { Log } from '../core/log.ts';
import { codeOf, thisUser } from '../core/named-files.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { ConfigHolder, GatewayNode, NodeStatistics } from './parts.ts';
import type { Team } from './workers.ts';

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

/** The parts of a node that the directory service needs. */
interface DirectoryServiceParts {
  readonly holder: ConfigHolder;
  readonly metrics: Metrics;
  readonly statistics: Pick<NodeStatistics, 'mailRouted'>;
  readonly log: Log;
}

/**
 * Opens the listeners that tell other proxies where users live. They read the configuration in force for each question.
 */
export async function openDirectoryService(
  config: NonNullable<Config['directoryService']>,
  deps: DirectoryServiceParts,
  opened: AsyncDisposableStack,
): Promise<void> {
  const { holder, metrics, statistics, log } = deps;
  const [{ createAddresses, resolveByTheSystem }, { createDirectoryService }] = await Promise.all([
    import('../directory-service/addresses.ts'),
    import('../directory-service/listener.ts'),
  ]);
  const service = createDirectoryService({
    async routeMail(typed, signal, client) {
      const route = await holder.current.routeMail(typed, signal, client);
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
  if (config.socketmap !== undefined || config.tcpTable !== undefined) await openTables(config, deps, opened);
}

/** Opens the listeners for Postfix's maps. */
async function openTables(
  { socketmap, tcpTable }: NonNullable<Config['directoryService']>,
  { holder, metrics, log }: DirectoryServiceParts,
  opened: AsyncDisposableStack,
): Promise<void> {
  const [{ createTableListener }, protocols] = await Promise.all([
    import('../directory-service/table-listener.ts'),
    import('../directory-service/table-protocols.ts'),
  ]);
  const places = [
    { name: 'socketmap', protocol: protocols.socketmap, at: socketmap?.listen },
    { name: 'tcp_table', protocol: protocols.tcpTable, at: tcpTable?.listen },
  ] as const;
  for (const { name, protocol, at } of places) {
    if (at === undefined) continue;
    const listener = opened.use(
      createTableListener({
        protocol,
        ask(map, key, signal) {
          const { askDelivery } = holder.current;
          if (askDelivery === undefined) throw new TypeError('a reload cannot take the maps away');
          return askDelivery(map, key, signal);
        },
        map: () => holder.config.directoryService?.tcpTable?.map ?? 'homes',
        isAllowed: (address) => holder.current.mayAskForRoutes(address),
        observe: (result) => metrics.directoryServiceAnswered(name, result),
        clock: systemClock,
        log,
      }),
    );
    await listen(listener.server, at);
  }
}

/** Whether load balancers may send something new to this node. */
export class Availability {
  readonly #node: Pick<GatewayNode, 'storeUp'>;
  readonly #team: Team | undefined;
  #isOpen = false;
  #isDraining = false;
  #isOut = false;

  constructor(node: Pick<GatewayNode, 'storeUp'>, team: Team | undefined) {
    this.#node = node;
    this.#team = team;
  }

  /** The listeners for users are bound. */
  opened(): void {
    this.#isOpen = true;
  }

  /** The node is about to close. */
  drain(): void {
    this.#isDraining = true;
  }

  /** Takes the node out of service for load balancers, or back in; it serves on in both cases. */
  takeOut(isOut: boolean): void {
    this.#isOut = isOut;
    this.#team?.takeOut(isOut);
  }

  isOut(): boolean {
    return this.#isOut;
  }

  readiness(): Readiness {
    return {
      ready: this.state() === 'up',
      degraded: [...new Set([...(this.#node.storeUp() ? [] : ['store']), ...(this.#team?.degraded() ?? [])])],
    };
  }

  /** The answer to the load balancer's agent check. */
  state(): AgentState {
    if (this.#isDraining || this.#isOut) return 'drain';
    return this.#isOpen && (this.#team?.isOpen() ?? true) ? 'up' : 'down';
  }
}
