import { DatabaseError, Pool } from 'pg';
import { shortLine } from '../../core/short-line.ts';
import { checkRefusal } from '../answers.ts';
import { ServerFailover } from '../server-failover.ts';
import { defineSource, sourceSettings, tlsFor } from '../settings.ts';
import { couldNotAsk } from '../source.ts';
import { compileQuery, databaseSettings } from './sql.ts';

const poolSize = 8;

/**
 * PostgreSQL: one query with parameters, on a pool of connections to the first of the servers that answers. The row's
 * columns `backend`, `user`, `refuse` and `role` are the answer. TLS unless it is switched off.
 */
export const driver = defineSource({
  about: 'A query to PostgreSQL.',
  settings: sourceSettings(databaseSettings(5432)).superRefine(checkRefusal('column')),
  async create(settings, { label, timeoutMs, findHome }) {
    const { servers, database, user, password, tls } = settings;
    const isPlain = tls === 'none';
    const query = compileQuery(settings, (number) => `$${number}`);

    const tlsOf = await tlsFor(settings);
    const pools = new ServerFailover({
      servers,
      timeoutMs,
      label: (server) => `${label} ${server.label}`,
      open({ connect }, shareMs) {
        // For pg a host that begins with a slash is the folder of a socket; its port names the file in it.
        const [, folder, socketPort] = /^(.*)\/\.s\.PGSQL\.(\d+)$/.exec(connect.path ?? '') ?? [];
        const host = folder ?? connect.host ?? '';
        const pool = new Pool({
          host,
          port: Number(socketPort ?? connect.port),
          database,
          user,
          ...(password === undefined ? {} : { password: password.reveal() }),
          ssl: isPlain || folder !== undefined ? false : tlsOf(host),
          max: poolSize,
          connectionTimeoutMillis: shareMs,
          query_timeout: shareMs,
          statement_timeout: shareMs,
          application_name: 'postern',
        });
        // An idle connection that breaks is the pool's to replace.
        pool.on('error', () => {});
        return pool;
      },
      close: (pool) => pool.end(),
    });
    return {
      ask: (name, signal) =>
        pools.use(async (pool) => {
          const { rows } = await pool.query({ text: query.text, values: [...query.values(name)] }).catch(refused);
          return query.read(rows, { name, findHome });
        }, signal),
      [Symbol.asyncDispose]: () => pools[Symbol.asyncDispose](),
    };
  },
});

/** A fault of the query is one on every server; shutting down and full (classes 57, 53) are faults of one server. */
function refused(error: unknown): never {
  if (error instanceof DatabaseError && !/^(?:57P|53|08|28|3D)/.test(error.code ?? '57P')) {
    // Class 22 is about values: its text may hold the name.
    const why = error.code?.startsWith('22') ? '' : `: ${shortLine(error.message)}`;
    throw couldNotAsk(`the query was refused with ${error.code}${why}`, error);
  }
  throw error;
}
