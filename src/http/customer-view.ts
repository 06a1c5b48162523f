import { sql } from 'kysely';
import { z } from 'zod';
import { nanosToNumber } from '../domain/money.ts';
import { BudgetTable, budgetTable, type BudgetRow, sharedBudgets } from './budget-view.ts';
import { subjectOf } from './contacts.ts';
import type { HttpDeps } from './deps.ts';
import { limitAnswer, limitRecord, NO_LIMITS } from './limit-fields.ts';
import { limitsOfRow } from './limited-row.ts';
import { agencyOf, type Db, recordOf, type Tables, type TenantRow } from './read.ts';
import { AnyJson } from './schemas.ts';
import { textOf } from './user-view.ts';

/** End users as the API shows them. */
export const Customer = z
  .looseObject({
    user_id: z.string(),
    organization_id: z.string(),
    alias: z.string().nullable(),
    blocked: z.boolean(),
    spend: z.number(),
    ...limitAnswer,
    allowed_model_region: z.string().nullable(),
    default_model: z.string().nullable(),
    object_permission: AnyJson.nullable(),
    budget_id: z.string().nullable(),
    litellm_budget_table: BudgetTable,
  })
  .meta({ id: 'Customer' });

export type CustomerRow = Tables['customers'];

export async function customerRow(db: Db, tenantId: string, id: string): Promise<CustomerRow | undefined> {
  return await db
    .selectFrom('customers')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('customer_id', '=', id)
    .executeTakeFirst();
}

/** A page of the ids that are registered or were seen, in order. */
export async function namesOfCustomers(
  db: Db,
  tenantId: string,
  page: number,
  size: number,
): Promise<readonly string[]> {
  const { rows } = await sql<{ id: string }>`
    select customer_id as id from customers where tenant_id = ${tenantId}
    union
    select substr(id, ${tenantId.length + 2}::int) from spend_totals
    where level = 'end-user' and starts_with(id, ${`${tenantId}/`})
    order by id limit ${size} offset ${(page - 1) * size}`.execute(db);
  return rows.map(({ id }) => id);
}

/** The end users of these ids that are registered or were seen, in the order of the ids. */
export async function customerAnswers(
  deps: HttpDeps,
  { tenant_id: tenantId, agency_id: agencyId }: TenantRow,
  ids: readonly string[],
): Promise<z.output<typeof Customer>[]> {
  if (ids.length === 0) return [];
  const { db } = deps;
  const [rows, spent, contacts, { zone }] = await Promise.all([
    db
      .selectFrom('customers')
      .selectAll()
      .where('tenant_id', '=', tenantId)
      .where('customer_id', 'in', [...ids])
      .execute(),
    db
      .selectFrom('spend_totals')
      .select(['id', 'price_nanos'])
      .where('level', '=', 'end-user')
      .where(
        'id',
        'in',
        ids.map((id) => `${tenantId}/${id}`),
      )
      .execute(),
    db
      .selectFrom('contacts')
      .select(['subject_id', 'data'])
      .where(
        'subject_id',
        'in',
        ids.map((id) => subjectOf('customer', `${tenantId}/${id}`)),
      )
      .execute(),
    agencyOf(db, agencyId),
  ]);
  const byId = new Map(rows.map((row) => [row.customer_id, row]));
  const spend = new Map(spent.map((row) => [row.id, row.price_nanos]));
  const names = new Map(
    contacts.map(({ subject_id, data }) => [subject_id, textOf(recordOf(data)['alias'])]),
  );
  const shared = await sharedBudgets(db, rows);
  return [...new Set(ids)].flatMap((id) => {
    const row = byId.get(id);
    const used = spend.get(`${tenantId}/${id}`);
    if (row === undefined && used === undefined) return [];
    const alias = names.get(subjectOf('customer', `${tenantId}/${id}`)) ?? null;
    const facts = { id, tenantId, alias, spend: used ?? 0n, zone, now: deps.now() };
    return [answer(facts, row, shared.get(row?.budget_id ?? null))];
  });
}

interface Facts {
  readonly id: string;
  readonly tenantId: string;
  readonly alias: string | null;
  readonly spend: bigint;
  readonly zone: string;
  readonly now: string;
}

function answer(
  { id, tenantId, alias, spend, zone, now }: Facts,
  row: CustomerRow | undefined,
  shared: BudgetRow | undefined,
): z.output<typeof Customer> {
  const state = row === undefined ? NO_LIMITS : limitsOfRow(row);
  const { allowed_model_region: region, default_model: model, object_permission: permission } = state.options;
  return {
    user_id: id,
    organization_id: tenantId,
    alias,
    blocked: row?.blocked ?? false,
    spend: nanosToNumber(spend),
    ...limitRecord(state, zone, now),
    allowed_model_region: textOf(region),
    default_model: textOf(model),
    object_permission: permission == null ? null : recordOf(permission),
    budget_id: row?.budget_id ?? null,
    litellm_budget_table: budgetTable(state, shared, zone, now),
  };
}
