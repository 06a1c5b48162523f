import { defineProjection, tenantOf, toJson } from '../src/projection.ts';

/** Who works on which project, and who belongs to which tenant, with what each may use there. */
export const members = defineProjection({
  name: 'members',
  version: 1,
  columns: {
    /** project | tenant */
    level: 'text',
    /** Of the project or the tenant. */
    scope_id: 'text',
    user_id: 'text',
    tenant_id: 'text',
    /** admin | user in a project; org_admin | internal_user | internal_user_viewer in a tenant. */
    role: 'text',
    /** requestsPerMinute, tokensPerMinute, budget: null leaves it to the project, amounts as decimal strings. */
    limits: 'json',
    added_at: 'instant',
  },
  key: ['level', 'scope_id', 'user_id'],
  indexes: [['user_id'], ['tenant_id']],
  on: {
    'project.member-added': ({ projectId, userId, role, limits }, recorded) => ({
      op: 'insert',
      row: {
        level: 'project',
        scope_id: projectId,
        user_id: userId,
        tenant_id: tenantOf(recorded),
        role,
        limits: toJson(limits),
        added_at: recorded.occurredAt,
      },
    }),
    'project.member-changed': ({ projectId, userId, role, limits }) => ({
      op: 'update',
      where: { level: 'project', scope_id: projectId, user_id: userId },
      set: { role, limits: toJson(limits) },
    }),
    'project.member-removed': ({ projectId, userId }) => ({
      op: 'remove',
      where: { level: 'project', scope_id: projectId, user_id: userId },
    }),
    'project.closed': ({ projectId }) => ({ op: 'remove', where: { level: 'project', scope_id: projectId } }),
    'tenant.member-added': ({ tenantId, userId, role, budget }, recorded) => ({
      op: 'insert',
      row: {
        level: 'tenant',
        scope_id: tenantId,
        user_id: userId,
        tenant_id: tenantId,
        role,
        limits: toJson({ requestsPerMinute: null, tokensPerMinute: null, budget }),
        added_at: recorded.occurredAt,
      },
    }),
    'tenant.member-changed': ({ tenantId, userId, role, budget }) => ({
      op: 'update',
      where: { level: 'tenant', scope_id: tenantId, user_id: userId },
      set: { role, limits: toJson({ requestsPerMinute: null, tokensPerMinute: null, budget }) },
    }),
    'tenant.member-removed': ({ tenantId, userId }) => ({
      op: 'remove',
      where: { level: 'tenant', scope_id: tenantId, user_id: userId },
    }),
    'tenant.closed': ({ tenantId }) => ({ op: 'remove', where: { tenant_id: tenantId } }),
  },
});
