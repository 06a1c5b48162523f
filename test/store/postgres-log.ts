/** What tests do to the event log behind the back of the store, and to its connections. */
import type { Pool, PoolClient, QueryArrayConfig } from 'pg';
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

type Ask = (query: QueryArrayConfig) => Promise<unknown>;

/** A pool that sees every statement of the store. */
function observedPool(pool: Pool, observe: (ask: Ask, query: QueryArrayConfig) => Promise<unknown>): Pool {
  const connect = async (): Promise<PoolClient> => {
    const client = await pool.connect();
    const ask: Ask = (query) => client.query(query);
    return new Proxy(client, {
      get(target, name) {
        if (name === 'query') return (query: QueryArrayConfig) => observe(ask, query);
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  };
  return { connect } as Pool;
}

/** Statements take effect, but the next so many answers are lost. */
export function lossyPool(inner: Pool): { readonly pool: Pool; readonly lose: (count: number) => void } {
  let losing = 0;
  const pool = observedPool(inner, async (ask, query) => {
    const answer = await ask(query);
    if (losing === 0) return answer;
    losing -= 1;
    throw new Error('the connection was lost');
  });
  return { pool, lose: (count) => void (losing = count) };
}

export function countedPool(inner: Pool): {
  readonly pool: Pool;
  readonly statements: () => { readonly appends: number; readonly reads: number };
} {
  let [appends, reads] = [0, 0];
  const pool = observedPool(inner, (ask, query) => {
    if (query.text.includes('append_events')) appends += 1;
    else reads += 1;
    return ask(query);
  });
  return { pool, statements: () => ({ appends, reads }) };
}
