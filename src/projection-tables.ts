/**
 * The tables of read models and the registry that says which one is current and how far it is.
 *
 * A table is named `<name>__v<version>`, or `<name>__v<version>_<generation>` after a rebuild; the
 * view `<name>` shows the current one. The registry has a row per read model, and one more, named
 * after the table, for each table that is being filled beside it. The lock on that row is what
 * serialises writers: however many processes apply the same events, each is applied once.
 */
import type { Pool, PoolClient } from 'pg';
import { inTransaction } from './connections.ts';
import { Superseded } from './failing-event.ts';
import type { Projection } from './projection.ts';
import { columnList, quoted, tableDdl, tableDigest } from './projection-sql.ts';
import { hasReader, secureTable, secureView } from './row-security.ts';

/** Any number that nothing else in the database uses. */
const DDL_LOCK = 4_817_230_056n;
/** A reader of the old table can hold up a switch this long before it is tried again later. */
const SWITCH_LOCK_MS_MAX = 2_000;

export interface Registered {
  readonly version: number;
  readonly tableName: string;
  /** The log has been applied up to here. */
  readonly position: bigint;
}

/** The registry no longer has what was to be written: another process switched tables, or runs a newer version. */
export class TargetGone extends Error {
  override readonly name = 'TargetGone';
}

export function buildingTable(projection: Projection): string {
  return `${projection.name}__v${projection.version}`;
}

/**
 * Creates what is missing, for all projections in one transaction; processes that start at the same
 * time wait for each other. A raised version gets its new table beside the old one.
 * Throws Error when a newer version is in use or a definition was changed under the same version.
 */
export async function prepareTables(pool: Pool, projections: readonly Projection[]): Promise<void> {
  await inTransaction(pool, async (client) => {
    await client.query('select pg_advisory_xact_lock($1)', [DDL_LOCK]);
    for (const projection of projections) await prepare(client, projection);
  });
}

async function prepare(client: PoolClient, projection: Projection): Promise<void> {
  const { name, version } = projection;
  const table = buildingTable(projection);
  const live = await registered(client, name, 'for update');
  if (live === null) {
    await createTable(client, projection, table);
    await createView(client, projection, table);
    await register(client, name, projection, table);
    return;
  }
  if (live.version > version) {
    throw new Error(
      `The read model ${name} is at version ${live.version}, and this build knows version ${version}. ` +
        'It belongs to a newer Keyledger: start that one.',
    );
  }
  await secureLive(client, name, live.tableName);
  if (live.version === version) return await checkDefinition(client, projection, live.tableName);
  const { rows } = await client.query<{ name: string; version: number }>(
    `select name, version from projections where name like $1 and version < $2`,
    [`${name.replaceAll('_', '\\_')}\\_\\_v%`, version],
  );
  for (const left of rows) await abandon(client, left.name);
  if ((await registered(client, table)) === null) {
    await createTable(client, projection, table);
    await register(client, table, projection, table);
  } else {
    await checkDefinition(client, projection, table);
  }
}

export async function createTable(client: PoolClient, projection: Projection, table: string): Promise<void> {
  await client.query(`drop table if exists ${quoted(table)}`);
  for (const statement of tableDdl(projection, table)) await client.query(statement);
  await client.query(`comment on table ${quoted(table)} is '${tableDigest(projection)}'`);
  if (await hasReader(client)) await secureTable(client, projection.name, table);
}

async function createView(client: PoolClient, projection: Projection, table: string): Promise<void> {
  const { name } = projection;
  await client.query(`create view ${quoted(name)} as select ${columnList(projection)} from ${quoted(table)}`);
  if (await hasReader(client)) await secureView(client, name);
}

/** For tables that were made before the database had a reader. */
async function secureLive(client: PoolClient, name: string, table: string): Promise<void> {
  if (!(await hasReader(client))) return;
  await secureTable(client, name, table);
  await secureView(client, name);
}

export async function register(
  client: PoolClient,
  name: string,
  projection: Projection,
  table: string,
): Promise<void> {
  await client.query('insert into projections (name, version, table_name, position) values ($1, $2, $3, 0)', [
    name,
    projection.version,
    table,
  ]);
}

/** Drops a table that was being filled. */
export async function abandon(client: PoolClient, name: string): Promise<void> {
  await client.query('delete from projections where name = $1', [name]);
  await client.query(`drop table if exists ${quoted(name)}`);
}

async function checkDefinition(client: PoolClient, projection: Projection, table: string): Promise<void> {
  const { rows } = await client.query<{ digest: string | null }>(
    `select obj_description(to_regclass($1), 'pg_class') as digest`,
    [quoted(table)],
  );
  if (rows[0]?.digest === tableDigest(projection)) return;
  throw new Error(
    `The columns or indexes of the read model ${projection.name} were changed under version ${projection.version}. ` +
      'Raise its version, so that its table is filled anew.',
  );
}

export async function registered(
  client: Pool | PoolClient,
  name: string,
  lock: '' | 'for update' = '',
): Promise<Registered | null> {
  const { rows } = await client.query<RegistryRow>(
    `select version, table_name, position from projections where name = $1 ${lock}`,
    [name],
  );
  return rows[0] === undefined ? null : fromRow(rows[0]);
}

export interface RegistryRow {
  readonly version: number;
  readonly table_name: string;
  /** Text when the pool has the driver's own parsers. */
  readonly position: bigint | string;
}

export function fromRow({ version, table_name, position }: RegistryRow): Registered {
  return { version, tableName: table_name, position: BigInt(position) };
}

/**
 * Makes the table of the registry row `building` the current one and drops the old one. The lock on
 * the registry row keeps writers out meanwhile; they go on with the new table. `catchUp` applies
 * what the old table had already and the new one has not, so that the position never goes back.
 * False when another process has done it.
 */
export async function switchTable(
  pool: Pool,
  projection: Projection,
  building: string,
  catchUp: (client: PoolClient, table: string, from: bigint, to: bigint) => Promise<void>,
): Promise<boolean> {
  const { name } = projection;
  return await inTransaction(pool, async (client) => {
    await client.query(`set local lock_timeout = ${SWITCH_LOCK_MS_MAX}`);
    const live = await registered(client, name, 'for update');
    const next = await registered(client, building, 'for update');
    if (live === null || next === null) return false;
    if (live.version > next.version) throw new Superseded(name, projection.version, live.version);
    if (next.position < live.position) await catchUp(client, next.tableName, next.position, live.position);
    const position = next.position < live.position ? live.position : next.position;
    await client.query(`drop view if exists ${quoted(name)}`);
    await createView(client, projection, next.tableName);
    await client.query(`drop table ${quoted(live.tableName)}`);
    await client.query('delete from projections where name = $1', [building]);
    await client.query(
      `update projections set version = $2, table_name = $3, position = $4, error = null, updated_at = clock_timestamp()
       where name = $1`,
      [name, projection.version, next.tableName, position],
    );
    return true;
  });
}
