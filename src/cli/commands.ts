import type { Command } from 'commander';
import { addAudit } from './audit.ts';
import { addBackend, addDrain } from './backend.ts';
import { addCheck } from './check.ts';
import { addCompletion } from './completion.ts';
import { addDirectory } from './directory.ts';
import type { CommandEnvironment } from './environment.ts';
import { addExplain } from './explain.ts';
import { addInit } from './init.ts';
import { addKeys, addTokens } from './keys.ts';
import { addLookup } from './lookup.ts';
import type { ExitCode } from './options.ts';
import { addPenalty } from './penalty.ts';
import { addSessions } from './sessions.ts';
import { addConsole, addStaff } from './staff.ts';
import { addStatistics } from './statistics.ts';
import { addStatus } from './status.ts';
import { addMoves } from './user-move.ts';

/** Gives the program a command. */
type AddCommand = (program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void) => void;

/** All commands but `serve`, in the order of the help. */
export const otherCommands: readonly AddCommand[] = [
  addCheck,
  addLookup,
  addExplain,
  addDirectory,
  addInit,
  addKeys,
  addTokens,
  addStatus,
  addBackend,
  addMoves,
  addSessions,
  addPenalty,
  addDrain,
  addStatistics,
  addAudit,
  addStaff,
  addConsole,
  addCompletion,
];
