import { sql } from 'kysely';
import { z } from 'zod';
import { readExtra, readMemberLimits } from '../domain/extra-limits.ts';
import type { Json } from '../domain/json.ts';
import { UNLIMITED } from '../domain/limits.ts';
import { nanosToNumber } from '../domain/money.ts';
import { readLimits } from '../domain/terms-json.ts';
import { Refusal } from '../errors.ts';
import { type BudgetRow, BudgetTable, budgetTable } from './budget-view.ts';
import { type LimitState, limitAnswer, limitRecord } from './limit-fields.ts';
import { type Db, recordOf } from './read.ts';
import { AnyJson } from './schemas.ts';
import { textOf } from './user-view.ts';

/** Tenants in the shape of LiteLLM's organizations. */
const OrganizationMember = z.object({
  user_id: z.string(),
  user_email: z.string().nullable(),
  user_role: z.string(),
  max_budget_in_organization: z.number().nullable(),
  created_at: z.string(),
});

export const Organization = z
  .looseObject({
    organization_id: z.string(),
    organization_alias: z.string().nullable(),
    metadata: AnyJson,
    ...limitAnswer,
    spend: z.number(),
    budget_id: z.string().nullable(),
    litellm_budget_table: BudgetTable,
    plan: z.string().nullable().describe('Of the contract; null for an organization that is never invoiced'),
    status: z.string(),
    members: z.array(OrganizationMember),
    teams: z.array(z.object({ team_id: z.string(), team_alias: z.string().nullable() })),
    created_at: z.string(),
    updated_at: z.string(),
  })
  .meta({ id: 'Organization', description: 'A tenant' });

interface Person {
  readonly user_id: string;
  readonly user_email: string | null;
  readonly role: string;
  readonly limits: Json;
  readonly added_at: string;
}

/** All but the agency's own tenant, of which LiteLLM's clients know nothing, and closed ones. */
export function organizationRows(db: Db, ownTenantId: string) {
  return db
    .selectFrom('tenants')
    .innerJoin('agencies', 'agencies.agency_id', 'tenants.agency_id')
    .leftJoin('contacts', (join) =>
      join
        .onRef('contacts.subject_id', '=', 'tenants.tenant_id')
        .on((eb) =>
          eb(eb.cast<bigint>('contacts.version', 'bigint'), '=', eb.ref('tenants.contact_version')),
        ),
    )
    .leftJoin('spend_totals', (join) =>
      join.on('spend_totals.level', '=', 'tenant').onRef('spend_totals.id', '=', 'tenants.tenant_id'),
    )
    .selectAll('tenants')
    .select([
      'agencies.zone',
      'contacts.data as contact',
      sql<bigint>`coalesce(spend_totals.price_nanos, 0)`.as('spend'),
      sql<readonly Person[]>`coalesce((
        select jsonb_agg(jsonb_build_object('user_id', m.user_id, 'role', m.role, 'limits', m.limits,
                                            'added_at', m.added_at, 'user_email', c.data ->> 'email')
                         order by m.added_at, m.user_id)
        from members m left join contacts c on c.subject_id = 'user:' || m.user_id
        where m.level = 'tenant' and m.scope_id = tenants.tenant_id), '[]'::jsonb)`.as('people'),
      sql<readonly { team_id: string; team_alias: string | null }[]>`coalesce((
        select jsonb_agg(jsonb_build_object('team_id', p.project_id, 'team_alias', n.name) order by p.opened_at, p.project_id)
        from projects p left join project_names n on n.project_id = p.project_id
        where p.tenant_id = tenants.tenant_id and p.status <> 'closed'), '[]'::jsonb)`.as('teams'),
    ])
    .where('tenants.status', '!=', 'closed')
    .where('tenants.tenant_id', '!=', ownTenantId);
}

export type OrganizationRow = Awaited<ReturnType<ReturnType<typeof organizationRows>['execute']>>[number];

/** Throws Refusal(not_found). */
export async function requireOrganization(db: Db, ownTenantId: string, id: string): Promise<OrganizationRow> {
  const row = await organizationRows(db, ownTenantId).where('tenants.tenant_id', '=', id).executeTakeFirst();
  if (row === undefined)
    throw new Refusal('not_found', { what: 'organization' }, { param: 'organization_id' });
  return row;
}

/** What is agreed beside the contract. */
export function limitsOfOrganization(row: Pick<OrganizationRow, 'limits' | 'extra' | 'options'>): LimitState {
  return {
    limits: row.limits === null ? UNLIMITED : readLimits(row.limits),
    extra: readExtra(row.extra),
    options: recordOf(row.options),
  };
}

export function organizationRecord(
  row: OrganizationRow,
  shared: BudgetRow | undefined,
  now: string,
): z.output<typeof Organization> {
  const state = limitsOfOrganization(row);
  return {
    ...state.options,
    organization_id: row.tenant_id,
    organization_alias: textOf(recordOf(row.contact ?? {})['display_name']),
    metadata: recordOf(state.options['metadata'] ?? {}),
    ...limitRecord(state, row.zone, now),
    spend: nanosToNumber(row.spend),
    budget_id: row.budget_id,
    litellm_budget_table: budgetTable(state, shared, row.zone, now),
    plan: row.terms === null ? null : textOf(recordOf(row.terms)['plan']),
    status: row.status,
    members: row.people.map(({ user_id, user_email, role, limits, added_at }) => {
      const { budget } = readMemberLimits(limits);
      const amount = budget === null ? null : nanosToNumber(budget.nanos);
      return {
        user_id,
        user_email,
        user_role: role,
        max_budget_in_organization: amount,
        created_at: added_at,
      };
    }),
    teams: row.teams.map((team) => ({ ...team })),
    created_at: row.onboarded_at,
    updated_at: row.updated_at,
  };
}
