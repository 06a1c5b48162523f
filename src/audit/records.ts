import type { Pool } from 'pg';
import { inTransaction } from '../connections.ts';
import type { BundleRecord, Scope } from './bundle.ts';

/**
 * What lies beside the log and cannot be made from it: names, addresses and issued invoices. A full
 * export carries all of it, a partial one what concerns its subject.
 */
interface RecordTable {
  readonly table: string;
  /** Columns of its key, in which order it is read. */
  readonly key: string;
  /** Which rows an export has: a condition with its one parameter; null for none. */
  readonly of: (scope: Exclude<Scope, { kind: 'all' }>) => readonly [condition: string, value: string] | null;
}

export const recordTables: readonly RecordTable[] = [
  {
    table: 'contacts',
    key: 'subject_id, version',
    of: (scope) => (scope.kind === 'tenant' ? ['subject_id = $1', scope.id] : null),
  },
  {
    table: 'project_names',
    key: 'project_id',
    of: (scope) =>
      scope.kind === 'tenant'
        ? ['project_id in (select project_id from projects where tenant_id = $1)', scope.id]
        : null,
  },
  {
    table: 'invoice_documents',
    key: 'invoice_id',
    of: (scope) => {
      if (scope.kind === 'tenant') return ['tenant_id = $1', scope.id];
      return scope.kind === 'invoice'
        ? [
            `invoice_id = $1 or invoice_id =
               (select i.cancellation_id from invoices i where i.invoice_id = $1)`,
            scope.id,
          ]
        : null;
    },
  },
  { table: 'brands', key: 'agency_id, version', of: () => null },
  {
    table: 'vat_checks',
    key: 'tenant_id, check_id',
    of: (scope) => (scope.kind === 'tenant' ? ['tenant_id = $1', scope.id] : null),
  },
  // What was done outside: without it a moved installation would do it again. How far the outbox has
  // read stays behind, since positions are another log's there; it begins at the head.
  { table: 'outbox_tasks', key: 'task_id', of: () => null },
  { table: 'provider_steps', key: 'step_key', of: () => null },
  { table: 'provider_events', key: 'agency_id, event_id', of: () => null },
  { table: 'payment_links', key: 'invoice_id', of: () => null },
  { table: 'scheduled_runs', key: 'agency_id, period', of: () => null },
  // Sealed under LITELLM_SALT_KEY, which moves with the settings.
  { table: 'agency_secrets', key: 'agency_id, name', of: () => null },
];

const PAGE_ROWS = 200;

/** Hands over the rows as JSON texts, table by table, as they are at one moment. */
export async function readRecords(
  pool: Pool,
  scope: Scope,
  put: (table: string, row: string) => Promise<void>,
): Promise<void> {
  const task = async (client: { query: Pool['query'] }): Promise<void> => {
    for (const { table, key, of } of recordTables) {
      const part = scope.kind === 'all' ? (['true', null] as const) : of(scope);
      if (part === null) continue;
      const [condition, value] = part;
      await client.query(
        `declare records no scroll cursor for
           select row_to_json(t)::text as row from (select * from ${table} where ${condition} order by ${key}) t`,
        value === null ? [] : [value],
      );
      for (let full = true; full; ) {
        const { rows } = await client.query<{ row: string }>(`fetch ${PAGE_ROWS} from records`);
        for (const { row } of rows) await put(table, row);
        full = rows.length === PAGE_ROWS;
      }
      await client.query('close records');
    }
  };
  await inTransaction(pool, task, 'begin isolation level repeatable read read only');
}

/** Puts a record where it was. Throws Error when there is another one in its place. */
export async function keepRecord(pool: Pool, { table, row }: BundleRecord): Promise<void> {
  if (!recordTables.some((known) => known.table === table)) {
    throw new Error(`This build does not know the table ${table}.`);
  }
  const json = JSON.stringify(row);
  const inserted = await pool.query(
    `insert into ${table} select * from json_populate_record(null::${table}, $1) on conflict do nothing`,
    [json],
  );
  if (inserted.rowCount === 1) return;
  const { rows } = await pool.query<{ same: boolean }>(
    `select exists (select 1 from ${table} t where to_jsonb(t) = to_jsonb(json_populate_record(null::${table}, $1))) as same`,
    [json],
  );
  if (rows[0]?.same !== true)
    throw new Error(`${table} has something else where the bundle has ${json.slice(0, 200)}`);
}
