import { NO_PROJECT_SETTINGS, type ProjectSettings } from '../src/domain/project.ts';
import { defineProjection, toJson } from '../src/projection.ts';

/** The projects of all tenants. */
export const projects = defineProjection({
  name: 'projects',
  version: 3,
  columns: {
    project_id: 'text',
    tenant_id: 'text',
    agency_id: 'text',
    /** open | blocked | closed */
    status: 'text',
    environments: 'text[]',
    /** Limits of all its keys together, with amounts as decimal strings; null leaves them to the contract. */
    limits: 'json?',
    /** The shared budget whose values are in the limits. */
    budget_id: 'text?',
    /** Key routes that members who are no admins may call; null: what everybody may. */
    member_permissions: 'json?',
    /** For members without limits of their own: requestsPerMinute, tokensPerMinute, budget. */
    member_limits: 'json',
    /** Soft budget, further budgets and limits by model, amounts as decimal strings. */
    extra: 'json',
    options: 'json',
    /** What its recorded spend is shown with in addition, all corrections by hand together. */
    spend_adjusted: 'sum',
    /** The last of them: the amount that it was set to, and from where in the log on spend counts on top. */
    adjusted_at: 'instant?',
    adjusted_position: 'bigint?',
    adjusted_to: 'nanos?',
    opened_at: 'instant',
    updated_at: 'instant',
    closed_at: 'instant?',
    closed_by: 'text?',
  },
  key: ['project_id'],
  indexes: [['tenant_id'], ['budget_id']],
  on: {
    'project.opened': ({ projectId, tenantId, environments, limits }, { agencyId, occurredAt }) => ({
      op: 'insert',
      row: {
        project_id: projectId,
        tenant_id: tenantId,
        agency_id: agencyId,
        status: 'open',
        environments,
        limits: limits === null ? null : toJson(limits),
        ...settingColumns(NO_PROJECT_SETTINGS),
        spend_adjusted: 0n,
        adjusted_at: null,
        adjusted_position: null,
        adjusted_to: null,
        opened_at: occurredAt,
        updated_at: occurredAt,
        closed_at: null,
        closed_by: null,
      },
    }),
    'project.changed': ({ projectId, limits, settings }, { occurredAt }) => ({
      op: 'update',
      where: { project_id: projectId },
      set: {
        limits: limits === null ? null : toJson(limits),
        ...settingColumns(settings),
        updated_at: occurredAt,
      },
    }),
    'project.closed': ({ projectId }, { occurredAt, actor }) => ({
      op: 'update',
      where: { project_id: projectId },
      set: { status: 'closed', updated_at: occurredAt, closed_at: occurredAt, closed_by: actor.id },
    }),
    'project.spend-adjusted': ({ projectId, byNanos, toNanos }, { occurredAt, position }) => ({
      op: 'update',
      where: { project_id: projectId },
      set: {
        adjusted_at: occurredAt,
        adjusted_position: position,
        adjusted_to: toNanos,
        updated_at: occurredAt,
      },
      by: { spend_adjusted: byNanos },
    }),
    'project.blocked': ({ projectId }, { occurredAt }) => ({
      op: 'update',
      where: { project_id: projectId },
      set: { status: 'blocked', updated_at: occurredAt },
    }),
    'project.unblocked': ({ projectId }, { occurredAt }) => ({
      op: 'update',
      where: { project_id: projectId },
      set: { status: 'open', updated_at: occurredAt },
    }),
  },
});

function settingColumns(settings: ProjectSettings) {
  const { budgetId, memberPermissions, memberLimits, extra, options } = settings;
  return {
    budget_id: budgetId,
    member_permissions: memberPermissions,
    member_limits: toJson(memberLimits),
    extra: toJson(extra),
    options,
  };
}
