/** How a command ends. Scripts rely on them: they do not change. */
export const exitCodes = {
  /** Done; found; nothing is wrong. */
  ok: 0,
  /** The answer is no: unknown user, a server that fails its check. */
  no: 1,
  /** The command line or the configuration is wrong: nothing was tried. */
  invalid: 2,
  /** Somebody could not be asked, so there is no answer. */
  unavailable: 3,
  /** A defect of Postern itself. */
  defect: 70,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** For `--help` of every command that can end so. */
export const exitCodesHelp =
  'Exit codes: 0 done, 1 the answer is no, 2 wrong usage or configuration, 3 could not ask, 70 a defect of Postern.';
