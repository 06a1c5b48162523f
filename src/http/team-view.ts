import { sql } from 'kysely';
import { z } from 'zod';
import { readExtra, readMemberLimits } from '../domain/extra-limits.ts';
import { UNLIMITED } from '../domain/limits.ts';
import { nanosToNumber } from '../domain/money.ts';
import { readLimits } from '../domain/terms-json.ts';
import { Refusal } from '../errors.ts';
import type { HttpDeps } from './deps.ts';
import { type LimitState, limitAnswer, limitRecord } from './limit-fields.ts';
import { MEMBER_PERMISSIONS } from './permissions.ts';
import { type Db, recordOf } from './read.ts';
import { AnyJson } from './schemas.ts';

/** Projects in the shape of LiteLLM's teams. */
export const Team = z
  .looseObject({
    team_id: z.string(),
    team_alias: z.string().nullable(),
    organization_id: z.string().nullable(),
    admins: z.array(z.string()),
    members: z.array(z.string()),
    members_with_roles: z.array(AnyJson),
    metadata: AnyJson,
    ...limitAnswer,
    budget_id: z.string().nullable(),
    team_member_permissions: z.array(z.string()),
    team_member_budget: z.number().nullable(),
    team_member_budget_duration: z.string().nullable(),
    team_member_rpm_limit: z.number().nullable(),
    team_member_tpm_limit: z.number().nullable(),
    blocked: z.boolean(),
    spend: z.number(),
    created_at: z.string(),
    updated_at: z.string(),
    deleted_at: z.string().nullable().optional(),
    deleted_by: z.string().nullable().optional(),
  })
  .meta({ id: 'Team', description: 'A project' });

interface ShownMember {
  readonly user_id: string;
  readonly role: string;
  readonly user_email: string | null;
}

export function teamRows(db: Db) {
  return db
    .selectFrom('projects')
    .innerJoin('agencies', 'agencies.agency_id', 'projects.agency_id')
    .innerJoin('tenants', 'tenants.tenant_id', 'projects.tenant_id')
    .leftJoin('project_names', 'project_names.project_id', 'projects.project_id')
    .leftJoin('spend_totals', (join) =>
      join.on('spend_totals.level', '=', 'project').onRef('spend_totals.id', '=', 'projects.project_id'),
    )
    .selectAll('projects')
    .select([
      'project_names.name',
      'agencies.zone',
      sql<boolean>`tenants.own and tenants.contact_version = 0`.as('own'),
      sql<bigint>`coalesce(spend_totals.price_nanos, 0) + projects.spend_adjusted`.as('spend'),
      sql<readonly ShownMember[]>`coalesce((
        select jsonb_agg(jsonb_build_object('user_id', m.user_id, 'role', m.role, 'user_email', c.data ->> 'email')
                         order by m.added_at, m.user_id)
        from members m left join contacts c on c.subject_id = 'user:' || m.user_id
        where m.level = 'project' and m.scope_id = projects.project_id), '[]'::jsonb)`.as('people'),
    ]);
}

export type TeamRow = Awaited<ReturnType<ReturnType<typeof teamRows>['execute']>>[number];

/** Throws Refusal(not_found), for closed ones too. */
export async function requireTeam(db: Db, projectId: string): Promise<TeamRow> {
  const row = await teamRows(db)
    .where('projects.project_id', '=', projectId)
    .where('projects.status', '!=', 'closed')
    .executeTakeFirst();
  if (row === undefined) throw new Refusal('not_found', { what: 'team' }, { param: 'team_id' });
  return row;
}

/** What is agreed for all keys of the project together. */
export function limitsOfTeam(row: Pick<TeamRow, 'limits' | 'extra' | 'options'>): LimitState {
  return {
    limits: row.limits === null ? UNLIMITED : readLimits(row.limits),
    extra: readExtra(row.extra),
    options: recordOf(row.options),
  };
}

export function teamRecord(deps: Pick<HttpDeps, 'now'>, row: TeamRow): z.output<typeof Team> {
  const state = limitsOfTeam(row);
  const defaults = readMemberLimits(row.member_limits);
  const deletion = row.status === 'closed' ? { deleted_at: row.closed_at, deleted_by: row.closed_by } : {};
  return {
    tags: [],
    model_aliases: {},
    ...state.options,
    metadata: recordOf(state.options['metadata'] ?? {}),
    team_id: row.project_id,
    team_alias: row.name,
    organization_id: row.own ? null : row.tenant_id,
    admins: row.people.filter(({ role }) => role === 'admin').map(({ user_id }) => user_id),
    members: row.people.map(({ user_id }) => user_id),
    members_with_roles: row.people.map((member) => ({ ...member })),
    ...limitRecord(state, row.zone, deps.now()),
    budget_id: row.budget_id,
    team_member_permissions: permissionsOf(row),
    team_member_budget: defaults.budget === null ? null : nanosToNumber(defaults.budget.nanos),
    team_member_budget_duration: defaults.budget?.window ?? null,
    team_member_rpm_limit: defaults.requestsPerMinute,
    team_member_tpm_limit: defaults.tokensPerMinute,
    blocked: row.status === 'blocked',
    spend: nanosToNumber(row.spend),
    created_at: row.opened_at,
    updated_at: row.updated_at,
    ...deletion,
  };
}

export function permissionsOf({ member_permissions: set }: Pick<TeamRow, 'member_permissions'>): string[] {
  if (!Array.isArray(set)) return [...MEMBER_PERMISSIONS];
  return set.filter((route): route is string => typeof route === 'string');
}
