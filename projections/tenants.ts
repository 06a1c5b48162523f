import { type ContractVersion, keyLimitsOf } from '../src/domain/contract.ts';
import { NO_EXTRA } from '../src/domain/extra-limits.ts';
import type { ContractSigned } from '../src/domain/tenant-contract.ts';
import { defineProjection, toJson } from '../src/projection.ts';

/** The tenants with the contract that their keys follow, and what is agreed for later. */
export const tenants = defineProjection({
  name: 'tenants',
  version: 4,
  columns: {
    tenant_id: 'text',
    agency_id: 'text',
    /** Works at cost as a part of the agency and is never invoiced, until it signs a contract. */
    own: 'boolean',
    /** active | suspended | closed */
    status: 'text',
    suspended_reason: 'text?',
    contact_version: 'bigint',
    contract_id: 'text?',
    effective_from: 'instant?',
    /** Terms of the contract, with amounts as decimal strings. */
    terms: 'json?',
    /** What the contract sets apart from the plan. */
    agreed: 'json?',
    /** Limits of keys by environment that follow from both, or did until the contract ended. */
    followed: 'json?',
    /** Versions that keys do not follow yet, oldest first: with the clock they say what is in force. */
    planned: 'json',
    /** When keys have to be brought in line; null while they are. */
    due_at: 'instant?',
    /** From when on how much usage was included, oldest first. */
    included: 'json',
    // Agreed beside the contract; holds together with it. Amounts are decimal strings.
    limits: 'json?',
    extra: 'json',
    budget_id: 'text?',
    options: 'json',
    onboarded_at: 'instant',
    updated_at: 'instant',
  },
  key: ['tenant_id'],
  indexes: [['agency_id'], ['budget_id'], ['due_at']],
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
        agreed: null,
        followed: null,
        planned: [],
        due_at: null,
        included: [],
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
    'contract.signed': (data) => ({
      op: 'update',
      where: { tenant_id: data.tenantId },
      set: data.planned === undefined ? firstContract(data) : laterContract(data),
    }),
    'contract.amended': (data) => ({
      op: 'update',
      where: { tenant_id: data.tenantId },
      set: laterContract(data),
    }),
    'contract.ended': (data) => ({
      op: 'update',
      where: { tenant_id: data.tenantId },
      set: laterContract(data),
    }),
    'contract.applied': ({ tenantId, version, planned }) => ({
      op: 'update',
      where: { tenant_id: tenantId },
      set: {
        ...(version === null ? {} : contractColumns(version)),
        planned: toJson(planned),
        due_at: planned[0]?.effectiveFrom ?? null,
      },
    }),
    'tenant.suspended': ({ tenantId, reason }, { occurredAt }) => ({
      op: 'update',
      where: { tenant_id: tenantId },
      set: { status: 'suspended', suspended_reason: reason, due_at: occurredAt },
    }),
    'tenant.reinstated': ({ tenantId }, { occurredAt }) => ({
      op: 'update',
      where: { tenant_id: tenantId },
      set: { status: 'active', suspended_reason: null, due_at: occurredAt },
    }),
  },
});

function contractColumns(version: ContractVersion) {
  const { contractId, effectiveFrom, terms, agreed } = version;
  const followed = keyLimitsOf(version);
  return {
    ...(followed === null ? {} : { followed: toJson(followed), own: false }),
    contract_id: contractId,
    effective_from: effectiveFrom,
    terms: terms === null ? null : toJson(terms),
    agreed: agreed === null ? null : toJson(agreed),
  };
}

/** Keys are made under it, so there is nothing to bring in line. */
function firstContract({ contractId, effectiveFrom, terms, agreed }: ContractSigned['data']) {
  return {
    ...contractColumns({ contractId, effectiveFrom, terms, agreed: agreed ?? null }),
    planned: [],
    included: toJson([{ effectiveFrom, nanos: terms.includedUsageNanos }]),
  };
}

function laterContract({
  planned = [],
  included = [],
}: Pick<ContractSigned['data'], 'planned' | 'included'>) {
  return {
    planned: toJson(planned),
    due_at: planned[0]?.effectiveFrom ?? null,
    included: toJson(included),
  };
}
