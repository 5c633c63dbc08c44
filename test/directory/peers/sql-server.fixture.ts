/** A real database server of a test, with a table `homes (login, backend, user, refuse)` and the user `postern`. */
export interface SqlServer extends AsyncDisposable {
  readonly port: number;
  readonly caFile: string;
  run(sql: string, values?: readonly string[]): Promise<void>;
  put(user: string, home: string): Promise<void>;
  stop(): Promise<void>;
  start(): Promise<void>;
}
