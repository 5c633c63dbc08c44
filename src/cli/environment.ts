import type { Anchor } from '../audit/anchors.ts';
import type { Config } from '../config/config.ts';
import type { Environment } from '../config/referenced-files.ts';
import type { Log } from '../core/log.ts';
import type { SessionStore } from '../core/session.ts';
import type { Directory } from '../directory/directory.ts';
import type { Explain } from '../gateway/explain.ts';

/** The outside of a command: output, environment, signals. Tests pass their own. */
export interface CommandEnvironment {
  readonly print: (text: string) => void;
  readonly complain: (text: string) => void;
  /** Asks the person who sits there; missing when nobody does. */
  readonly ask?: (question: string) => Promise<string>;
  /** The lines of standard input. */
  readonly lines: () => AsyncIterable<string>;
  /** Shows how far long work is, over what it showed before; missing where nobody watches. */
  readonly progress?: (text: string) => void;
  readonly env: Environment;
  readonly signals: SignalSource;
  /** Ends the process at once, whatever is still open. */
  readonly exit: (code: number) => void;
  /** Loads the gateway with all its libraries: only where it is needed, since that takes a while. */
  readonly loadGateway: () => Promise<GatewayModule>;
}

interface SignalSource {
  on(signal: NodeJS.Signals, listener: () => void): unknown;
  off(signal: NodeJS.Signals, listener: () => void): unknown;
}

/** What the commands need of the gateway. */
export interface GatewayModule {
  /** Resolves when the gateway serves. Rejects when it cannot, with nothing left open. */
  readonly startGateway: (options: { readonly configFile: string; readonly log?: Log }) => Promise<RunningGateway>;
  readonly buildDirectory: (config: Config, log: Log) => Promise<OpenDirectory>;
  /** Explains users as a sign-in would find them. */
  readonly openExplain: (config: Config, log: Log) => Promise<AsyncDisposable & { readonly explain: Explain }>;
  /** Makes every node forget what it remembers of a user's home. */
  readonly forgetHomeEverywhere: (config: Config, user: string, by: string, log: Log) => Promise<void>;
  /** Where the chains of the audit end, as the state store knows it. */
  readonly readAuditAnchors: (config: Config, log: Log) => Promise<readonly Anchor[]>;
  /** Vouches for the whole state by the promoted server key. */
  readonly renewState: (config: Config, log: Log) => Promise<void>;
  /** Opens the session store of a configuration, for one question. */
  readonly openStore: (config: Config, log: Log) => Promise<SessionStore>;
}

/** A gateway that `serve` has started. */
export interface RunningGateway {
  /** Reads the configuration again, all of it or nothing; logs what changed or what is wrong. Never rejects. */
  reload(): Promise<void>;
  /** Drains as configured under `shutdown`, then closes everything. */
  close(): Promise<void>;
}

/** The part of the directory that commands ask. */
export type OpenDirectory = Pick<Directory, 'explain' | 'lookup'> & AsyncDisposable;
