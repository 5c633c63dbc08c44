import { DatabaseError, Pool } from 'pg';
import { defined } from '../../core/objects.ts';
import { shortLine } from '../../core/text.ts';
import { checkRefusal } from '../answers.ts';
import { ServerFailover } from '../server-failover.ts';
import { defineSource, sourceSettings, tlsFor } from '../settings.ts';
import { couldNotAsk } from '../source.ts';
import { compileQuery, databasePoolSize, databaseSettings } from './sql.ts';

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
        // pg takes a host that begins with a slash for the folder of a socket; the port names the file in it.
        const [, folder, socketPort] = /^(.*)\/\.s\.PGSQL\.(\d+)$/.exec(connect.path ?? '') ?? [];
        const host = folder ?? connect.host ?? '';
        const pool = new Pool({
          host,
          port: Number(socketPort ?? connect.port),
          database,
          user,
          ...defined({ password: password?.reveal() }),
          ssl: isPlain || folder !== undefined ? false : tlsOf(host),
          max: databasePoolSize,
          connectionTimeoutMillis: shareMs,
          query_timeout: shareMs,
          statement_timeout: shareMs,
          application_name: 'postern',
        });
        // The pool replaces an idle connection that breaks.
        pool.on('error', () => {});
        return pool;
      },
      close: (pool) => pool.end(),
    });
    return {
      ask: (name, signal) =>
        pools.use(async (pool) => {
          const { rows } = await pool
            .query({ text: query.text, values: [...query.values(name)] })
            .catch(throwPostgresFault);
          return query.read(rows, { name, findHome });
        }, signal),
      [Symbol.asyncDispose]: () => pools[Symbol.asyncDispose](),
    };
  },
});

/** A faulty query fails on every server; shutting down and full (classes 57, 53) are faults of one server. */
function throwPostgresFault(error: unknown): never {
  if (error instanceof DatabaseError && !/^(?:57P|53|08|28|3D)/.test(error.code ?? '57P')) {
    // Errors of class 22 are about values: their text may hold the user's name.
    const why = error.code?.startsWith('22') ? '' : `: ${shortLine(error.message)}`;
    throw couldNotAsk(`the query was refused with ${error.code}${why}`, error);
  }
  throw error;
}
