import type { Command } from 'commander';
import { addAudit } from './audit.ts';
import { addBackend } from './backend.ts';
import { addCheck } from './check.ts';
import { addDirectory } from './directory.ts';
import { addDrain } from './drain.ts';
import type { ExitCode } from './exit-codes.ts';
import { addExplain } from './explain.ts';
import { addInit } from './init.ts';
import { addKeys } from './keys.ts';
import { addLookup } from './lookup.ts';
import { addMoves } from './moves.ts';
import { addSessions } from './sessions.ts';
import { addStaff } from './staff.ts';
import type { Surroundings } from './surroundings.ts';

/** Gives the program a command. */
type AddCommand = (program: Command, surroundings: Surroundings, end: (code: ExitCode) => void) => void;

/** All commands but `serve`, in the order of the help. */
export const otherCommands: readonly AddCommand[] = [
  addCheck,
  addLookup,
  addExplain,
  addDirectory,
  addInit,
  addKeys,
  addBackend,
  addMoves,
  addSessions,
  addDrain,
  addAudit,
  addStaff,
];
