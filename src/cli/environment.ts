import type { Anchor } from '../audit/anchors.ts';
import type { Config } from '../config/config.ts';
import type { Environment } from '../config/referenced-files.ts';
import type { Log } from '../core/log.ts';
import type { SessionStore } from '../core/session.ts';
import type { Directory } from '../directory/directory.ts';
import type { Explain } from '../gateway/explain.ts';
import type { Notify } from './service-notices.ts';

/** The environment of a command: output, variables, signals. Tests pass their own. */
export interface CommandEnvironment {
  readonly print: (text: string) => void;
  readonly complain: (text: string) => void;
  /** Whether what is printed may have colours; no if left out. */
  readonly colours?: boolean;
  /** Asks the person at the terminal; undefined if there is none. */
  readonly ask?: (question: string) => Promise<string>;
  /** The lines of standard input. */
  readonly lines: () => AsyncIterable<string>;
  /** How many lines standard input has; undefined if nobody knows before its end. */
  readonly lineCount?: () => Promise<number | undefined>;
  /** Replaces the progress line of long work; undefined without a terminal. */
  readonly progress?: (text: string) => void;
  /** The terminal, for commands that fill it; undefined without one. */
  readonly terminal?: Terminal;
  readonly env: Environment;
  readonly signals: SignalSource;
  /** Tells the service manager how the gateway stands; undefined if it did not ask. */
  readonly notify?: Notify;
  /** Ends the process at once, whatever is still open. */
  readonly exit: (code: number) => void;
  /** Loads the gateway with all its libraries, which takes a while: call it only if it is needed. */
  readonly loadGateway: () => Promise<GatewayModule>;
}

/** A terminal at both ends: it shows, and hears keys. */
interface Terminal {
  readonly rows: () => number;
  /** Calls the listener with each key, which is not shown. Returns a function that ends this. */
  readonly onKey: (listener: (key: string) => void) => () => void;
}

interface SignalSource {
  on(signal: NodeJS.Signals, listener: () => void): unknown;
  off(signal: NodeJS.Signals, listener: () => void): unknown;
}

/** The functions of the gateway that commands need. */
export interface GatewayModule {
  /** Resolves when the gateway serves. Rejects if it cannot, with nothing left open. */
  readonly startGateway: (options: { readonly configFile: string; readonly log?: Log }) => Promise<RunningGateway>;
  /** Opens all sources of the directory, or only the one at a position from 0. */
  readonly buildDirectory: (config: Config, log: Log, onlySource?: number) => Promise<OpenDirectory>;
  /** Explains users as a sign-in would find them. */
  readonly openExplain: (config: Config, log: Log) => Promise<AsyncDisposable & { readonly explain: Explain }>;
  /** Makes every node forget what it remembers of a user's home. */
  readonly forgetHomeEverywhere: (config: Config, user: string, by: string, log: Log) => Promise<void>;
  /** Reads the ends of the audit's chains from the state store. */
  readonly readAuditAnchors: (config: Config, log: Log) => Promise<readonly Anchor[]>;
  /** Vouches for all state by the promoted server key. */
  readonly renewState: (config: Config, log: Log) => Promise<void>;
  /** Opens the session store of a configuration, for one question. */
  readonly openStore: (config: Config, log: Log) => Promise<SessionStore>;
}

/** A gateway that `serve` has started. */
export interface RunningGateway {
  /**
   * Reads the configuration again, all of it or nothing; logs what changed or what is wrong. Resolves with whether the
   * new one is active. Never rejects.
   */
  reload(): Promise<boolean>;
  /** Drains as configured under `shutdown`, then closes everything. */
  close(): Promise<void>;
}

/** A directory that a command opened. */
export type OpenDirectory = Pick<Directory, 'explain' | 'lookup'> & AsyncDisposable;
