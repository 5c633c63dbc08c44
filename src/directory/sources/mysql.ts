import { connect, isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { createPool, type Pool } from 'mysql2/promise';
import { shortLine } from '../../core/short-line.ts';
import { createFailover } from '../server-failover.ts';
import { readAddresses, readTls } from '../settings.ts';
import { couldNotAsk, type SourceDriver } from '../source.ts';
import { readQuery } from './sql.ts';

const poolSize = 8;

/**
 * MariaDB or MySQL: one query with parameters (prepared on the server), on a pool of connections to the first of the
 * servers that answers. The row's columns `backend`, `user`, `refuse` and `role` are the answer. TLS unless it is
 * switched off.
 */
export const driver: SourceDriver = {
  configure(settings) {
    const servers = readAddresses(settings, 'servers', 3306);
    const query = readQuery(settings, () => '?');
    const database = settings.text('database');
    const user = settings.text('user');
    const password = settings.secret('password');
    const isPlain = settings.choice('tls', ['required', 'none'], 'required') === 'none';
    const tls = readTls(settings);
    if (!isPlain && tls.serverName === undefined && servers.some(({ connect: { host } }) => isIP(host ?? '') !== 0)) {
      settings.problem('tls_server_name', 'is required where a server is named by its address');
    }

    return async ({ label, timeoutMs, findHome }) => {
      const tlsFor = await tls.load();
      const pools = createFailover({
        servers,
        timeoutMs,
        label: (server) => `${label} ${server.label}`,
        open({ connect: address }, shareMs) {
          const name = tls.serverName ?? address.host ?? '';
          const pool = createPool({
            // mysql2 checks the certificate against `host` and nothing else; where it dials is said by `stream`.
            host: name,
            stream: () => connect(address),
            database,
            user,
            ...(password === undefined ? {} : { password: password.reveal() }),
            ...(isPlain || address.path !== undefined
              ? {}
              : { ssl: { ...trustOf(tlsFor(name)), verifyIdentity: true } }),
            connectTimeout: shareMs,
            connectionLimit: poolSize,
            charset: 'utf8mb4_bin',
          });
          // MariaDB knows the one, MySQL the other.
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
            const [rows] = await pool.execute(statement, [...query.values(name)]).catch(refused);
            return query.read(Array.isArray(rows) ? rows : [], { name, findHome });
          }, signal),
        [Symbol.asyncDispose]: () => pools[Symbol.asyncDispose](),
      };
    };
  },
};

function trustOf({ ca }: ConnectionOptions): { readonly rejectUnauthorized: true; readonly ca?: string } {
  return typeof ca === 'string' ? { rejectUnauthorized: true, ca } : { rejectUnauthorized: true };
}

/** A fault of the query is one on every server; anything else is a fault of the connection or of one server. */
function refused(error: unknown): never {
  const state = error instanceof Error && 'sqlState' in error ? String(error.sqlState) : '';
  // 42: syntax or access, 22: data, 21: cardinality (MariaDB knowledge base, SQLSTATE).
  if (error instanceof Error && /^(?:42|22|21)/.test(state)) {
    // Class 22 is about values: its text may hold the name.
    throw couldNotAsk(
      `the query was refused with ${state}${state.startsWith('22') ? '' : `: ${shortLine(error.message)}`}`,
      error,
    );
  }
  throw error;
}
