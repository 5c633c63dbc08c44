/** Settings that only their driver understands. Secrets are read already, and file names absolute. */
export type DriverSettings = Readonly<Record<string, unknown>>;

/** What a driver says of a setting: the path inside its settings, and what to write instead. */
export interface SettingProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
}
