/**
 * A canonical dump of a read model's table: rows by key, columns in the order of the definition,
 * every value as PostgreSQL's text of it in UTC. Two tables with the same content have the same
 * bytes, whatever the time zone, the locale and the order in which they were written.
 */
import { createHash } from 'node:crypto';
import type { Pool, PoolClient, QueryResult } from 'pg';
import type { Projection } from './projection.ts';
import { inSnapshot } from './projection-reader.ts';
import { quoted } from './projection-sql.ts';

export interface TableDump {
  readonly rows: number;
  /** Lower-case hex, over one line of JSON per row. */
  readonly sha256: string;
}

const PAGE_ROWS = 5_000;

/** Dumps the current table, or the named one. `onRow` gets each line without its line end. */
export async function dump(
  pool: Pool,
  projection: Projection,
  table?: string,
  onRow?: (line: string) => void,
): Promise<TableDump> {
  return await inSnapshot(pool, projection, (client, live) =>
    dumpTable(client, projection, table ?? live.tableName, onRow),
  );
}

/** The same inside the caller's transaction. */
export async function dumpTable(
  client: PoolClient,
  projection: Projection,
  table: string,
  onRow?: (line: string) => void,
): Promise<TableDump> {
  const hash = createHash('sha256');
  let count = 0;
  await client.query(`set local time zone 'UTC'; set local datestyle to 'ISO'`);
  await client.query(
    `declare dumped no scroll cursor for select ${textColumns(projection)} from ${quoted(table)}` +
      ` order by ${projection.key.map(quoted).join(', ')}`,
  );
  for (;;) {
    const page: QueryResult<(string | null)[]> = await client.query({
      text: `fetch ${PAGE_ROWS} from dumped`,
      rowMode: 'array',
    });
    if (page.rows.length === 0) break;
    for (const row of page.rows) {
      const line = JSON.stringify(row);
      hash.update(line).update('\n');
      onRow?.(line);
    }
    count += page.rows.length;
  }
  await client.query('close dumped');
  return { rows: count, sha256: hash.digest('hex') };
}

/** Not under the names of the columns, which `order by` would then take for these texts. */
function textColumns(projection: Projection): string {
  return Object.keys(projection.columns)
    .map((name) => `${quoted(name)}::text as ${quoted(`${name}_text`)}`)
    .join(', ');
}
