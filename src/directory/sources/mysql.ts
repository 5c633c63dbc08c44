import { connect, isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { createPool, type Pool } from 'mysql2/promise';
import { defined } from '../../core/objects.ts';
import { shortLine } from '../../core/text.ts';
import { checkRefusal } from '../answers.ts';
import { ServerFailover } from '../server-failover.ts';
import { defineSource, sourceSettings, tlsFor } from '../settings.ts';
import { couldNotAsk } from '../source.ts';
import { compileQuery, databasePoolSize, databaseSettings } from './sql.ts';

/**
 * MariaDB or MySQL: one query with parameters (prepared on the server), on a pool of connections to the first of the
 * servers that answers. The row's columns `backend`, `user`, `refuse` and `role` are the answer. TLS unless it is
 * switched off.
 */
export const driver = defineSource({
  about: 'A query to MySQL or MariaDB.',
  settings: sourceSettings(databaseSettings(3306))
    .superRefine(checkRefusal('column'))
    .superRefine(({ servers, tls, tls_server_name: name }, context) => {
      if (tls === 'none' || name !== undefined || servers.every(({ connect: { host } }) => isIP(host ?? '') === 0))
        return;
      const message = 'is missing: write the name in the certificate, because a server is given by its address';
      context.addIssue({ code: 'custom', path: ['tls_server_name'], message });
    }),
  async create(settings, { label, timeoutMs, findHome }) {
    const { servers, database, user, password, tls } = settings;
    const isPlain = tls === 'none';
    const query = compileQuery(settings, () => '?');

    const tlsOf = await tlsFor(settings);
    const pools = new ServerFailover({
      servers,
      timeoutMs,
      label: (server) => `${label} ${server.label}`,
      open({ connect: address }, shareMs) {
        const name = settings.tls_server_name ?? address.host ?? '';
        const pool = createPool({
          // mysql2 checks the certificate against `host` only; `stream` says where it dials.
          host: name,
          stream: () => connect(address),
          database,
          user,
          ...defined({ password: password?.reveal() }),
          ...(isPlain || address.path !== undefined ? {} : { ssl: { ...trustOf(tlsOf(name)), verifyIdentity: true } }),
          connectTimeout: shareMs,
          connectionLimit: databasePoolSize,
          charset: 'utf8mb4_bin',
        });
        // MariaDB knows the first, MySQL the second.
        pool.pool.on('connection', (connection) => {
          connection.query(`SET SESSION max_statement_time = ${shareMs / 1000}`, () => {});
          connection.query(`SET SESSION max_execution_time = ${shareMs}`, () => {});
        });
        return pool;
      },
      close: (pool: Pool) => pool.end(),
    });
    return {
      ask: (name, signal) =>
        pools.use(async (pool, shareMs) => {
          const statement = { sql: query.text, timeout: shareMs };
          const [rows] = await pool.execute(statement, [...query.values(name)]).catch(throwMysqlFault);
          return query.read(Array.isArray(rows) ? rows : [], { name, findHome });
        }, signal),
      [Symbol.asyncDispose]: () => pools[Symbol.asyncDispose](),
    };
  },
});

function trustOf({ ca }: ConnectionOptions): { readonly rejectUnauthorized: true; readonly ca?: string } {
  return typeof ca === 'string' ? { rejectUnauthorized: true, ca } : { rejectUnauthorized: true };
}

/** A faulty query fails on every server; any other error is a fault of the connection or of one server. */
function throwMysqlFault(error: unknown): never {
  const state = error instanceof Error && 'sqlState' in error ? String(error.sqlState) : '';
  // 42: syntax or access, 22: data, 21: cardinality (MariaDB knowledge base, SQLSTATE).
  if (error instanceof Error && /^(?:42|22|21)/.test(state)) {
    // Errors of class 22 are about values: their text may hold the user's name.
    throw couldNotAsk(
      `the query was refused with ${state}${state.startsWith('22') ? '' : `: ${shortLine(error.message)}`}`,
      error,
    );
  }
  throw error;
}
