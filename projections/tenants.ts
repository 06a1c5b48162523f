import { NO_EXTRA } from '../src/domain/extra-limits.ts';
import { defineProjection, toJson } from '../src/projection.ts';

/** The tenants with the contract that was signed last. */
export const tenants = defineProjection({
  name: 'tenants',
  version: 2,
  columns: {
    tenant_id: 'text',
    agency_id: 'text',
    /** The agency's own tenant: never invoiced, and without a contract. */
    own: 'boolean',
    /** active | suspended | closed */
    status: 'text',
    suspended_reason: 'text?',
    contact_version: 'bigint',
    contract_id: 'text?',
    effective_from: 'instant?',
    /** Terms of the contract, with amounts as decimal strings. */
    terms: 'json?',
    // Agreed beside the contract; holds together with it. Amounts are decimal strings.
    limits: 'json?',
    extra: 'json',
    budget_id: 'text?',
    options: 'json',
    onboarded_at: 'instant',
    updated_at: 'instant',
  },
  key: ['tenant_id'],
  indexes: [['agency_id'], ['budget_id']],
  on: {
    'tenant.onboarded': ({ tenantId, agencyId, own, contactVersion }, { occurredAt }) => ({
      op: 'insert',
      row: {
        tenant_id: tenantId,
        agency_id: agencyId,
        own,
        status: 'active',
        suspended_reason: null,
        contact_version: BigInt(contactVersion),
        contract_id: null,
        effective_from: null,
        terms: null,
        limits: null,
        extra: toJson(NO_EXTRA),
        budget_id: null,
        options: {},
        onboarded_at: occurredAt,
        updated_at: occurredAt,
      },
    }),
    'tenant.changed': ({ tenantId, settings }, { occurredAt }) => ({
      op: 'update',
      where: { tenant_id: tenantId },
      set: {
        limits: settings.limits === null ? null : toJson(settings.limits),
        extra: toJson(settings.extra),
        budget_id: settings.budgetId,
        contact_version: BigInt(settings.contactVersion),
        options: settings.options,
        updated_at: occurredAt,
      },
    }),
    'tenant.closed': ({ tenantId }, { occurredAt }) => ({
      op: 'update',
      where: { tenant_id: tenantId },
      set: { status: 'closed', updated_at: occurredAt },
    }),
    'contract.signed': ({ tenantId, contractId, effectiveFrom, terms }) => ({
      op: 'update',
      where: { tenant_id: tenantId },
      set: { contract_id: contractId, effective_from: effectiveFrom, terms: toJson(terms) },
    }),
    'tenant.suspended': ({ tenantId, reason }) => ({
      op: 'update',
      where: { tenant_id: tenantId },
      set: { status: 'suspended', suspended_reason: reason },
    }),
    'tenant.reinstated': ({ tenantId }) => ({
      op: 'update',
      where: { tenant_id: tenantId },
      set: { status: 'active', suspended_reason: null },
    }),
  },
});
