/**
 * Reads as the role that row security is for: connections of their own, which never are anybody else,
 * and each of which is told for whom it reads before it does.
 */
import {
  CompiledQuery,
  type DatabaseConnection,
  type Driver,
  Kysely,
  PostgresAdapter,
  PostgresDriver,
  PostgresIntrospector,
  PostgresQueryCompiler,
} from 'kysely';
import { openDatabase } from './database.ts';
import { READER } from './row-security.ts';

/** What a request may see rows of; ids. Row-security.ts says how tables follow from it. */
export interface RowScope {
  /** Tenants with all that is theirs. */
  readonly led: readonly string[];
  /** Tenants of which the record itself is seen. */
  readonly known: readonly string[];
  /** Projects of which the record itself is seen. */
  readonly projects: readonly string[];
  /** Projects with their keys and members. */
  readonly teams: readonly string[];
  /** Projects with what they spent. */
  readonly led_teams: readonly string[];
  /** Whose own things are seen: one user, or nobody. */
  readonly users: readonly string[];
  readonly keys: readonly string[];
}

export interface ScopedReads<Tables> {
  /** Reads what the scope sees. Costs nothing until it is used; needs no closing. */
  within(scope: RowScope): Kysely<Tables>;
  close(): Promise<void>;
}

export interface ScopedReadsOptions {
  readonly url: string;
  readonly poolMax: number;
  readonly applicationName: string;
  readonly log?: (line: string) => void;
}

export function openScopedReads<Tables>(options: ScopedReadsOptions): ScopedReads<Tables> {
  const { pool, close } = openDatabase({ ...options, role: READER });
  const driver = new PostgresDriver({ pool });
  /** What each connection was told last. */
  const told = new WeakMap<DatabaseConnection, string>();
  let ready: Promise<void> | null = null;

  async function acquire(scope: string): Promise<DatabaseConnection> {
    await (ready ??= driver.init());
    const connection = await driver.acquireConnection();
    if (told.get(connection) === scope) return connection;
    try {
      await connection.executeQuery(
        CompiledQuery.raw(`select set_config('keyledger.scope', $1, false)`, [scope]),
      );
    } catch (error) {
      await driver.releaseConnection(connection as Parameters<typeof driver.releaseConnection>[0]);
      throw error;
    }
    told.set(connection, scope);
    return connection;
  }

  return {
    close,
    within(scope) {
      const text = JSON.stringify(scope);
      const scoped: Driver = {
        init: () => Promise.resolve(),
        destroy: () => Promise.resolve(),
        acquireConnection: () => acquire(text),
        beginTransaction: driver.beginTransaction.bind(driver),
        commitTransaction: driver.commitTransaction.bind(driver),
        rollbackTransaction: driver.rollbackTransaction.bind(driver),
        releaseConnection: driver.releaseConnection.bind(driver),
      };
      return new Kysely<Tables>({
        dialect: {
          createAdapter: () => new PostgresAdapter(),
          createDriver: () => scoped,
          createIntrospector: (db) => new PostgresIntrospector(db),
          createQueryCompiler: () => new PostgresQueryCompiler(),
        },
      });
    },
  };
}
