import { dirname } from 'node:path';

/** The configuration of the service, which commands read unless they are told another. */
export const systemFile = '/etc/postern/postern.yaml';

/** Where a gateway keeps what it writes, and where operators reach it. Relative paths are beside the configuration. */
export interface InitPlaces {
  /** The address of the operators' listener. */
  readonly operators: string;
  /** The value of `operators.socket`, with further keys. */
  readonly socket: string;
  readonly storeFile: string;
  readonly keysFile: string;
  /** The comment about the keys file. */
  readonly keysAre: string;
  /** Undefined: the default, beside the configuration. */
  readonly auditFile?: string;
  /** The places are those that a configuration has without a word. */
  readonly keepsDefaults?: true;
  /** The way to start the gateway; undefined for `postern serve`. */
  readonly start?: string;
}

const keysAreMade = 'the same on all nodes; the first one to start creates it';

const checkoutPlaces: InitPlaces = {
  operators: '127.0.0.1:9090',
  socket: 'state/postern.sock',
  storeFile: 'state/postern.sqlite',
  keysFile: 'state/keys',
  keysAre: keysAreMade,
  keepsDefaults: true,
};

/** The folders that deploy/systemd/postern.service lets the gateway write to. */
const systemPlaces: InitPlaces = {
  operators: '127.0.0.1:9090',
  socket: '/run/postern/postern.sock, socket_access: group',
  storeFile: '/var/lib/postern/postern.sqlite',
  keysFile: '/var/lib/postern/keys',
  keysAre: keysAreMade,
  auditFile: '/var/log/postern/audit.jsonl',
  start: 'systemctl enable --now postern',
};

/** The places for a configuration: those of the service if it lies in /etc/postern, else beside it. */
export function placesBeside(file: string): InitPlaces {
  return dirname(file) === dirname(systemFile) ? systemPlaces : checkoutPlaces;
}

/**
 * The places in a container: its volume, and the secrets that its platform mounts. Probes come from outside, so the
 * operators' listener has all addresses; the network keeps users away from it.
 */
export function containerPlaces(hasRedis: boolean): InitPlaces {
  return {
    operators: '0.0.0.0:9090',
    socket: '/var/lib/postern/postern.sock',
    storeFile: '/var/lib/postern/postern.sqlite',
    keysFile: hasRedis ? '/run/secrets/postern-keys' : '/var/lib/postern/keys',
    keysAre: hasRedis ? 'a secret that all nodes mount' : keysAreMade,
    auditFile: '/var/lib/postern/audit.jsonl',
    start: 'start the container without a command',
  };
}
