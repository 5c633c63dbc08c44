import { createHash } from 'node:crypto';
import type { BackendName } from '../core/names.ts';
import { Secret } from '../core/secrets.ts';
import type { Config } from './config.ts';

/** The difference between two configurations, by key. */
export interface ConfigDiff {
  /** Keys whose value is another one, such as `login.refusal_after` or `backends.b17`; empty when nothing changed. */
  readonly changed: readonly string[];
  /** Changes that need a restart, each a sentence with key and remedy. If there are any, refuse the reload. */
  readonly refused: readonly string[];
  /** Backends that are gone: their users must be signed out. */
  readonly removed: readonly BackendName[];
}

type Fixed = readonly [key: string, of: (config: Config) => unknown];

/** Keys whose values are fixed when a gateway starts. */
const fixed: readonly Fixed[] = [
  ['listen', (config) => config.listen],
  ['listen.keep_alive', (config) => config.keepAliveMs],
  ['proxy_protocol', (config) => config.proxyProtocol],
  ['operators.listen', (config) => config.operators.listen],
  ['operators.socket', (config) => config.operators.socket],
  ['operators.socket_access', (config) => config.operators.socketMode],
  ['operators.socket_group', (config) => config.operators.socketGroup],
  ['operators.agent_check', (config) => config.operators.agentCheck],
  ['directory_service.listen', (config) => config.directoryService?.listen],
  ['directory_service.socketmap', (config) => config.directoryService?.socketmap],
  ['directory_service.tcp_table.listen', (config) => config.directoryService?.tcpTable?.listen],
  ['support', (config) => config.support !== undefined],
  ['support.listen', (config) => config.support?.listen],
  ['workers', (config) => config.workers],
  // On or off: which certificates it shows may change at any time.
  ['tls', (config) => config.tls.length > 0],
  ['requests.header_size', (config) => config.requests.headerBytes],
  ['sessions.redis', (config) => config.sessions.store],
  ['state.redis', (config) => config.state.redis],
  ['audit.file', (config) => config.audit.file],
  ['audit.syslog', (config) => config.audit.syslog],
  ['log.level', (config) => config.log.level],
  ['log.format', (config) => config.log.format],
  ['log.syslog', (config) => config.log.syslog],
  ['log.otlp', (config) => config.log.otlp],
  ['sessions.keys_file', (config) => config.sessions.keysFile],
];

/** Sections that are also compared by their parsed value: a file that one of them names may have changed. */
const sections: readonly Fixed[] = [
  ['sessions', (config) => config.sessions],
  ['operators', (config) => config.operators],
  ['directory', (config) => config.directory],
  ['directory_service', (config) => config.directoryService],
  ['login', (config) => config.login],
];

/** Lists the keys that a reload would change. Values are left out, since some are secrets. */
export function diffConfig(before: Config, after: Config): ConfigDiff {
  const written = [...new Set([...before.written.keys(), ...after.written.keys()])].filter(
    (path) => !path.startsWith('backends.') && before.written.get(path) !== after.written.get(path),
  );
  const differs = ([, of]: Fixed) => meaning(of(before)) !== meaning(of(after));
  const named = sections
    .filter((section) => differs(section) && !written.some((path) => path.startsWith(`${section[0]}.`)))
    .map(([key]) => `${key} (what it names)`);
  const backends = [...new Set([...before.backends.keys(), ...after.backends.keys()])].filter(
    (name) =>
      meaning([before.backends.get(name), before.serving.get(name)]) !==
      meaning([after.backends.get(name), after.serving.get(name)]),
  );
  return {
    changed: [...written, ...named, ...backends.map((name) => `backends.${name}`)].sort(),
    refused: fixed
      .filter(differs)
      .map(([key]) => `${key}: cannot change while the gateway runs: restart it, or restore the old value`),
    removed: [...before.backends.keys()].filter((name) => !after.backends.has(name)),
  };
}

/**
 * A short hash that is the same for two configurations that serve users alike. What nodes may have of their own is left
 * out: addresses, certificates, files, the log, and how many processes serve.
 */
export function configHash(config: Config): string {
  const { publicUrls, trustedProxies, proxyProtocol, moves, directory, passdb, login, requests, support } = config;
  const { keysFile: _file, store, ...times } = config.sessions;
  const sessions = { ...times, store: store.kind === 'embedded' ? store.kind : store };
  const { listen: _listen, ...console } = { listen: undefined, ...support };
  const alike = {
    publicUrls,
    trustedProxies,
    proxyProtocol,
    sessions,
    moves,
    directory,
    passdb,
    login,
    requests,
    console,
  };
  const { backends, serving } = config;
  return createHash('sha256')
    .update(meaning({ ...alike, backends, serving }))
    .digest('hex')
    .slice(0, 12);
}

/** A text that is the same for two values exactly if they are equal in every part, secrets included. */
function meaning(value: unknown): string {
  return JSON.stringify(comparable(value)) ?? '';
}

function comparable(value: unknown): unknown {
  if (value instanceof Secret) return { secret: createHash('sha256').update(value.reveal()).digest('base64') };
  if (value instanceof Uint8Array) return createHash('sha256').update(value).digest('base64');
  if (Array.isArray(value)) return value.map(comparable);
  if (value instanceof Map) return comparable(Object.fromEntries(value));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, part]) => [key, comparable(part)]));
}
