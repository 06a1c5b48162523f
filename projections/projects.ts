import { defineProjection, toJson } from '../src/projection.ts';

/** The projects of all tenants. */
export const projects = defineProjection({
  name: 'projects',
  version: 1,
  columns: {
    project_id: 'text',
    tenant_id: 'text',
    agency_id: 'text',
    /** open | blocked */
    status: 'text',
    environments: 'text[]',
    /** Limits of all its keys together, with amounts as decimal strings; null leaves them to the contract. */
    limits: 'json?',
    opened_at: 'instant',
  },
  key: ['project_id'],
  indexes: [['tenant_id']],
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
        opened_at: occurredAt,
      },
    }),
    'project.blocked': ({ projectId }) => ({
      op: 'update',
      where: { project_id: projectId },
      set: { status: 'blocked' },
    }),
    'project.unblocked': ({ projectId }) => ({
      op: 'update',
      where: { project_id: projectId },
      set: { status: 'open' },
    }),
  },
});
