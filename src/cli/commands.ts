import type { Command } from 'commander';
import type { CommandEnvironment } from './environment.ts';
import type { ExitCode } from './options.ts';

/** Gives the program some commands. */
type AddCommand = (program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void) => void;

/** Commands that one module makes. */
interface CommandModule {
  readonly names: readonly string[];
  readonly load: () => Promise<AddCommand>;
}

/** All commands but `serve`, in the order of the help. A command loads its own module alone: the answer must come at once. */
const modules: readonly CommandModule[] = [
  { names: ['check'], load: async () => (await import('./check.ts')).addCheck },
  { names: ['lookup'], load: async () => (await import('./lookup.ts')).addLookup },
  { names: ['explain'], load: async () => (await import('./explain.ts')).addExplain },
  { names: ['directory'], load: async () => (await import('./directory.ts')).addDirectory },
  { names: ['init'], load: async () => (await import('./init.ts')).addInit },
  { names: ['keys'], load: async () => (await import('./keys.ts')).addKeys },
  { names: ['token'], load: async () => (await import('./keys.ts')).addTokens },
  { names: ['status', 'top', 'node'], load: async () => (await import('./status.ts')).addStatus },
  { names: ['reload'], load: async () => (await import('./reload.ts')).addReload },
  { names: ['config'], load: async () => (await import('./config.ts')).addConfig },
  { names: ['backend'], load: async () => (await import('./backend.ts')).addBackend },
  { names: ['user', 'move'], load: async () => (await import('./user-move.ts')).addMoves },
  { names: ['session', 'who', 'kick'], load: async () => (await import('./sessions.ts')).addSessions },
  { names: ['penalty'], load: async () => (await import('./penalty.ts')).addPenalty },
  { names: ['drain'], load: async () => (await import('./backend.ts')).addDrain },
  { names: ['stats'], load: async () => (await import('./statistics.ts')).addStatistics },
  { names: ['audit'], load: async () => (await import('./audit.ts')).addAudit },
  { names: ['staff'], load: async () => (await import('./staff.ts')).addStaff },
  { names: ['console'], load: async () => (await import('./staff.ts')).addConsole },
  // It describes all others, so it is not loaded alone.
  { names: [], load: async () => (await import('./completion.ts')).addCompletion },
];

/** The commands of the module that makes the one of this name; all of them if none does, as for help. */
export function loadCommands(name?: string): Promise<readonly AddCommand[]> {
  const own = modules.filter(({ names }) => name !== undefined && names.includes(name));
  return Promise.all((own.length === 0 ? modules : own).map(({ load }) => load()));
}
