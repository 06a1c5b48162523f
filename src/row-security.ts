/**
 * Row security: requests of people and keys that are bound to some tenants read as a role of its own,
 * to which PostgreSQL shows their rows and no others, whatever the handler asks for. It stands behind
 * the checks of the API and knows nothing of them. The owner of the tables, as whom everything else
 * runs, is not subject to it and pays nothing for it.
 *
 * Everything here can be repeated, and is by every process that starts.
 */
import type { Pool, PoolClient } from 'pg';
import { inTransaction } from './connections.ts';
import { quoted } from './projection-sql.ts';

/** In every database of a server the same: what it may read is granted in each. */
export const READER = 'keyledger_reader';
/** `security_invoker`, without which a view reads as its owner. */
const VERSION_MIN = 150_000;
const ROLE_LOCK = 4_817_230_057n;

/** Evaluated once per query, not per row. */
const scope = (part: string) => `any ((select keyledger_scope('${part}'))::text[])`;

const LED = `tenant_id = ${scope('led')}`;
const EVERYBODY = 'true';
const NOBODY = 'false';

/** Who sees a row, by table. A table without an entry is not readable for the role at all. */
const POLICIES: Readonly<Record<string, string>> = {
  agencies: EVERYBODY,
  plans: EVERYBODY,
  models: EVERYBODY,
  periods: EVERYBODY,
  tenants: `tenant_id = ${scope('known')}`,
  projects: `${LED} or project_id = ${scope('projects')}`,
  keys: `${LED} or project_id = ${scope('teams')} or user_id = ${scope('users')} or key_id = ${scope('keys')}`,
  spend_log: `${LED} or project_id = ${scope('led_teams')} or user_id = ${scope('users')} or key_id = ${scope('keys')}`,
  spend_totals: `keyledger_sees(level, id)`,
  usage: LED,
  included_usage: LED,
  billed_lines: LED,
  invoices: LED,
  collections: LED,
  customers: LED,
  tags: LED,
  members: `${LED} or scope_id = ${scope('teams')} or user_id = ${scope('users')}`,
  users: `user_id = ${scope('users')} or keyledger_sees('user', user_id)`,
  budgets: `keyledger_sees('budget', budget_id)`,
  invitations: NOBODY,
  auditors: NOBODY,
  consultations: NOBODY,
  contacts: `case split_part(subject_id, ':', 1)
    when 'user' then keyledger_sees('user', substr(subject_id, 6))
    when 'customer' then keyledger_sees('customer', substr(subject_id, 10))
    else subject_id = ${scope('known')} end`,
  project_names: `keyledger_sees('project', project_id)`,
  invoice_documents: LED,
};

/** Tables of migrations that are read together with read models. */
const RECORDS = ['contacts', 'project_names', 'invoice_documents'];

/**
 * Makes the role and lets the one that we are signed in as take it on. Returns why the database has
 * no row security, or null when it has.
 */
export async function prepareReader(pool: Pool): Promise<string | null> {
  const { rows } = await pool.query<{ version: number; name: string }>(
    `select current_setting('server_version_num')::int as version, current_user::text as name`,
  );
  const { version, name } = rows[0]!;
  if (version < VERSION_MIN) return 'PostgreSQL 15 or newer has it, this is an older one';
  if (!(await canRead(pool)) && !(await makeReader(pool))) {
    return (
      `the role ${READER} is missing, or ${name} may not take it on. ` +
      `As an administrator of the server: CREATE ROLE ${READER} NOLOGIN; GRANT ${READER} TO ${quoted(name)};`
    );
  }
  await inTransaction(pool, async (client) => {
    await client.query('select pg_advisory_xact_lock($1)', [ROLE_LOCK]);
    for (const table of RECORDS) await secureTable(client, table, table);
  });
  return null;
}

async function canRead(pool: Pool): Promise<boolean> {
  return await attempted(pool, `set local role ${READER}`);
}

/** False when we may not. Another process that does the same at this moment is as good. */
async function makeReader(pool: Pool): Promise<boolean> {
  await attempted(pool, `create role ${READER} nologin`);
  await attempted(pool, `grant ${READER} to current_user`);
  return await canRead(pool);
}

async function attempted(pool: Pool, statement: string): Promise<boolean> {
  try {
    await inTransaction(pool, (client) => client.query(statement));
    return true;
  } catch (error) {
    if (/^(22|23|42|XX)/.test(String((error as { code?: unknown }).code))) return false;
    throw error;
  }
}

/** Whether tables of this database are kept from the reader, for those that make new ones. */
export async function hasReader(client: PoolClient): Promise<boolean> {
  const { rows } = await client.query(
    `select 1 from pg_roles where rolname = $1 and current_setting('server_version_num')::int >= ${VERSION_MIN}`,
    [READER],
  );
  return rows.length > 0;
}

/** Lets the reader read the table, by the policy of what it is a generation of. Changes nothing that is right already. */
export async function secureTable(client: PoolClient, name: string, table: string): Promise<void> {
  const condition = POLICIES[name];
  if (condition === undefined) return;
  const { rows } = await client.query<{ right: boolean }>(
    `select c.relrowsecurity and has_table_privilege($2, c.oid, 'select') and obj_description(p.oid, 'pg_policy') = $3 as right
     from pg_class c left join pg_policy p on p.polrelid = c.oid and p.polname = 'reader' where c.oid = to_regclass($1)`,
    [quoted(table), READER, condition],
  );
  if (rows[0]?.right === true) return;
  await client.query(`
    alter table ${quoted(table)} enable row level security;
    drop policy if exists reader on ${quoted(table)};
    create policy reader on ${quoted(table)} for select to ${READER} using (${condition});
    comment on policy reader on ${quoted(table)} is '${condition.replaceAll("'", "''")}';
    grant select on ${quoted(table)} to ${READER}`);
}

/** The same for the view that shows the current generation: it reads as whoever asks. */
export async function secureView(client: PoolClient, name: string): Promise<void> {
  const { rows } = await client.query<{ right: boolean }>(
    `select has_table_privilege($2, oid, 'select') and coalesce('security_invoker=true' = any (reloptions), false) as right
     from pg_class where oid = to_regclass($1)`,
    [quoted(name), READER],
  );
  if (rows[0]?.right === true) return;
  await client.query(`
    alter view ${quoted(name)} set (security_invoker = true);
    grant select on ${quoted(name)} to ${READER}`);
}
