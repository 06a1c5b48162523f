/** Read models of a test database. */
import type { Pool } from 'pg';
import { createLog } from '../../src/log.ts';

export const silent = createLog('silent');

/** As if no projector had ever run. */
export async function dropReadModels(pool: Pool): Promise<void> {
  const { rows } = await pool.query<{ name: string; table_name: string }>(
    'select name, table_name from projections',
  );
  for (const { name } of rows.filter(({ name, table_name }) => name !== table_name)) {
    await pool.query(`drop view if exists "${name}"`);
  }
  for (const { table_name } of rows) await pool.query(`drop table if exists "${table_name}"`);
  await pool.query('delete from projections');
}
