import { sql } from 'kysely';
import { z } from 'zod';
import { nanosToNumber } from '../domain/money.ts';
import { USER_ROLES } from '../domain/user.ts';
import { Refusal } from '../errors.ts';
import { limitAnswer, limitRecord } from './limit-fields.ts';
import { limitsOfRow } from './limited-row.ts';
import { type Db, recordOf } from './read.ts';
import { AnyJson } from './schemas.ts';

/** Users as the API shows them: read model, contact record, spend and memberships in one query. */
export const UserRecord = z
  .looseObject({
    user_id: z.string(),
    user_email: z.string().nullable(),
    user_alias: z.string().nullable(),
    sso_user_id: z.string().nullable(),
    user_role: z.enum(USER_ROLES),
    spend: z.number(),
    ...limitAnswer,
    budget_id: z.string().nullable(),
    metadata: AnyJson,
    teams: z.array(z.string()),
    organizations: z.array(z.string()),
    key_count: z.number().describe('Live keys'),
    created_at: z.string(),
    created_by: z.string(),
    updated_at: z.string(),
    updated_by: z.string(),
  })
  .meta({ id: 'User' });

/** How things of no agency's tenant stand on the calendar: a user belongs to the installation. */
export function userRows(db: Db) {
  return db
    .selectFrom('users')
    .innerJoin('agencies', 'agencies.agency_id', 'users.agency_id')
    .leftJoin('contacts', (join) => join.on(sql`contacts.subject_id`, '=', sql`'user:' || users.user_id`))
    .leftJoin('spend_totals', (join) =>
      join.on('spend_totals.level', '=', 'user').onRef('spend_totals.id', '=', 'users.user_id'),
    )
    .selectAll('users')
    .select([
      'agencies.zone',
      'contacts.data as contact',
      sql<bigint>`coalesce(spend_totals.price_nanos, 0)`.as('spend'),
      sql<
        string[]
      >`array(select scope_id from members where user_id = users.user_id and level = 'project' order by 1)`.as(
        'teams',
      ),
      sql<
        string[]
      >`array(select scope_id from members where user_id = users.user_id and level = 'tenant' order by 1)`.as(
        'organizations',
      ),
      sql<bigint>`(select count(*) from keys where keys.user_id = users.user_id and keys.status <> 'deleted')`.as(
        'key_count',
      ),
    ]);
}

export type UserView = Awaited<ReturnType<ReturnType<typeof userRows>['execute']>>[number];

/** Throws Refusal(not_found). */
export async function requireUser(db: Db, userId: string): Promise<UserView> {
  const row = await userRows(db).where('users.user_id', '=', userId).executeTakeFirst();
  if (row === undefined) throw new Refusal('not_found', { what: 'user' }, { param: 'user_id' });
  return row;
}

export function userRecord(row: UserView, now: string): z.output<typeof UserRecord> {
  const contact = recordOf(row.contact ?? {});
  const state = limitsOfRow(row);
  return {
    ...state.options,
    user_id: row.user_id,
    user_email: textOf(contact['email']),
    user_alias: textOf(contact['alias']),
    sso_user_id: textOf(contact['sso_id']),
    user_role: row.role as (typeof USER_ROLES)[number],
    spend: nanosToNumber(row.spend),
    ...limitRecord(state, row.zone, now),
    budget_id: row.budget_id,
    metadata: recordOf(contact['metadata'] ?? {}),
    teams: row.teams,
    organizations: row.organizations,
    key_count: Number(row.key_count),
    created_at: row.created_at,
    created_by: row.created_by,
    updated_at: row.updated_at,
    updated_by: row.updated_by,
  };
}

export function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
