/** Writing the changes of events, and the position that they lead to, in one transaction. */
import { DatabaseError, type Pool, type PoolClient, type QueryResult } from 'pg';
import { withConnection } from './connections.ts';
import type { Recorded } from './events.ts';
import { FailingEvent, Superseded } from './failing-event.ts';
import type { Projection, RowChange } from './projection.ts';
import { COPY_ROWS_MIN, copyRows, insertedRows } from './projection-copy.ts';
import { statementsFor } from './projection-sql.ts';
import { fromRow, type RegistryRow, TargetGone } from './projection-tables.ts';

/**
 * Applies events to the table of a registry row and moves its position, in one transaction. What is
 * at or below its position already is passed over. `saved`: where the table must be at least, since
 * what comes follows on that.
 * Throws FailingEvent, after everything before that event was applied; TargetGone; Superseded; SetBack
 * when the table is not there any more; and what the database throws when it cannot work at the moment.
 */
export async function applyEvents(
  pool: Pool,
  projection: Projection,
  target: string,
  events: readonly Recorded[],
  position: bigint,
  saved = 0n,
): Promise<void> {
  const applied: Applied[] = [];
  let failing: FailingEvent | null = null;
  for (const recorded of events) {
    try {
      applied.push({ recorded, changes: projection.apply(recorded) });
    } catch (error) {
      failing = new FailingEvent(projection.name, recorded, error);
      break;
    }
  }
  // A position that the log gave, never one worked out: some stores know no other to read on from.
  const end = failing === null ? position : (applied.at(-1)?.recorded.position ?? 0n);
  try {
    await write(pool, projection, target, applied, end, saved);
  } catch (error) {
    if (!isDataError(error)) throw error;
    await writeOneByOne(pool, projection, target, applied, saved);
    await write(pool, projection, target, [], end, saved);
  }
  if (failing !== null) throw failing;
}

/** The table has less than it had: a backup was restored, or a server took over that had not got everything. */
class SetBack extends Error {
  override readonly name = 'SetBack';

  constructor(target: string, known: bigint, saved: bigint) {
    super(`${target} was at ${saved} and is at ${known} now`);
  }
}

interface Applied {
  readonly recorded: Recorded;
  readonly changes: readonly RowChange[];
}

/** Finds the event that fails, and applies everything before it. */
async function writeOneByOne(
  pool: Pool,
  projection: Projection,
  target: string,
  applied: readonly Applied[],
  saved: bigint,
): Promise<void> {
  for (const one of applied) {
    try {
      await write(pool, projection, target, [one], one.recorded.position, saved);
    } catch (error) {
      throw isDataError(error) ? new FailingEvent(projection.name, one.recorded, error) : error;
    }
  }
}

async function write(
  pool: Pool,
  projection: Projection,
  target: string,
  applied: readonly Applied[],
  position: bigint,
  saved: bigint,
): Promise<void> {
  await withConnection(pool, async (client) => {
    // Several statements in one text are one round trip. The commit waits for the disk: whoever goes
    // on from here, in this process, could not know that the database had lost it.
    const results = (await client.query(
      `begin; select version, table_name, position from projections where name = '${target}' for update`,
    )) as unknown as readonly QueryResult<RegistryRow>[];
    const row = results[1]?.rows[0];
    if (row === undefined) throw new TargetGone(`there is no ${target} to write to`);
    const { version, tableName, position: known } = fromRow(row);
    if (version > projection.version) throw new Superseded(projection.name, projection.version, version);
    if (version < projection.version) throw new TargetGone(`${target} is of version ${version}`);
    if (known < saved) throw new SetBack(target, known, saved);
    const changes = applied.flatMap((one) => (one.recorded.position > known ? one.changes : []));
    await writeChanges(client, projection, tableName, changes);
    await client.query(position > known ? `${moveText(target, position)}; commit` : 'commit');
  });
}

export async function writeChanges(
  client: PoolClient,
  projection: Projection,
  table: string,
  changes: readonly RowChange[],
): Promise<void> {
  const rows = insertedRows(changes);
  if (rows !== null && rows.length >= COPY_ROWS_MIN) return await copyRows(client, projection, table, rows);
  for (const { text, values } of statementsFor(projection, table, changes)) {
    await client.query(text, values as (string | null)[]);
  }
}

function moveText(target: string, position: bigint): string {
  return `update projections set position = ${position}, error = null, updated_at = clock_timestamp() where name = '${target}'`;
}

/** Nothing between `saved` and `position` concerned the projection. */
export interface Move {
  readonly projection: Projection;
  readonly target: string;
  readonly saved: bigint;
  readonly position: bigint;
}

/**
 * Notes the moves, in one transaction. Only for whoever has applied everything below to the same
 * targets. Changes nothing where a table is further already, or less far.
 */
export async function moveCheckpoints(pool: Pool, moves: readonly Move[]): Promise<void> {
  if (moves.length === 0) return;
  await pool.query(
    `update projections p set position = m.position, error = null, updated_at = clock_timestamp()
     from unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[]) as m(name, version, saved, position)
     where p.name = m.name and p.version = m.version and p.position >= m.saved and p.position < m.position`,
    [
      moves.map(({ target }) => target),
      moves.map(({ projection }) => projection.version),
      moves.map(({ saved }) => saved),
      moves.map(({ position }) => position),
    ],
  );
}

export async function noteError(
  pool: Pool,
  projection: Projection,
  target: string,
  error: string,
): Promise<void> {
  await pool.query(
    'update projections set error = $3, updated_at = clock_timestamp() where name = $1 and version = $2',
    [target, projection.version, error],
  );
}

/**
 * True for what fails with these events whenever it is tried: SQLSTATE classes for data, constraints,
 * wrong statements and exceeded program limits. The rest, from lost connections to deadlocks, passes.
 */
function isDataError(error: unknown): boolean {
  if (error instanceof DatabaseError) return /^(?:0A|2[1-3]|42|44|54)/.test(error.code ?? '');
  return error instanceof TypeError || error instanceof RangeError;
}
