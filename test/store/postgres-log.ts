/** What tests do to the event log behind the back of the store. */
import type { Pool } from 'pg';
import type { Placed } from '../../src/store/stored-event.ts';

export const silent = { info: () => {}, warn: () => {} };

/** Changes rows that the database would not let anybody change. */
export async function tamper(pool: Pool, statement: string, values: unknown[] = []): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query('alter table events disable trigger events_are_final');
    await client.query(statement, values);
    await client.query('alter table events enable trigger events_are_final');
    await client.query('commit');
  } finally {
    client.release();
  }
}

export async function emptyLog(pool: Pool): Promise<void> {
  await tamper(pool, 'truncate events');
}

const columns = [
  'position',
  'stream',
  'revision',
  'id',
  'type',
  'schema',
  'agencyId',
  'tenantId',
  'occurredAt',
  'recordedAt',
  'actor',
  'correlationId',
  'causationId',
  'commandHash',
  'hash',
  'previousHash',
  'data',
] as const;

export async function insertPlaced(pool: Pool, placed: readonly Placed[]): Promise<void> {
  for (const one of placed) {
    await pool.query(
      `insert into events (position, stream, revision, id, type, schema, agency_id, tenant_id, occurred_at, recorded_at,
         actor, correlation_id, causation_id, command_hash, hash, previous_hash, data)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
      columns.map((name) => one[name]),
    );
  }
}
