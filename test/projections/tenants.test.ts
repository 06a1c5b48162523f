import { expect, test } from 'vitest';
import { tenants } from '../../projections/tenants.ts';
import {
  AT,
  contractSigned,
  tenantChanged,
  tenantOnboarded,
  tenantReinstated,
  tenantSuspended,
  terms,
} from '../support/events.ts';
import { project } from '../support/project.ts';

test('a tenant is active from its onboarding, without a contract', () => {
  expect(project(tenants, [tenantOnboarded()])).toEqual([
    {
      tenant_id: 'ten_1',
      agency_id: 'age_1',
      own: false,
      status: 'active',
      suspended_reason: null,
      contact_version: 1n,
      contract_id: null,
      effective_from: null,
      terms: null,
      agreed: null,
      followed: null,
      planned: [],
      due_at: null,
      included: [],
      limits: null,
      extra: { softBudgetNanos: null, budgets: [], byModel: {} },
      budget_id: null,
      options: {},
      onboarded_at: AT,
      updated_at: AT,
    },
  ]);
});

test('a contract brings its whole terms, amounts as decimal strings', () => {
  expect(project(tenants, [tenantOnboarded(), contractSigned()])).toMatchObject([
    {
      contract_id: 'con_1',
      effective_from: '2026-11-01T00:00:00.000Z',
      terms: {
        plan: 'studio',
        planVersion: 1,
        monthlyFeeNanos: '49000000000',
        prices: { models: { 'gpt-4o-mini': { inputRate: '150000000' } } },
      },
    },
  ]);
});

test('the contract signed last is the one that shows', () => {
  const second = contractSigned({ contractId: 'con_2', terms: terms({ planVersion: 2 }) });
  expect(project(tenants, [tenantOnboarded(), contractSigned(), second])).toMatchObject([
    { contract_id: 'con_2', terms: { planVersion: 2 } },
  ]);
});

test('a suspension shows with its reason and is gone when the tenant is reinstated', () => {
  expect(project(tenants, [tenantOnboarded(), tenantSuspended()])).toMatchObject([
    { status: 'suspended', suspended_reason: 'payment overdue' },
  ]);
  expect(project(tenants, [tenantOnboarded(), tenantSuspended(), tenantReinstated()])).toMatchObject([
    { status: 'active', suspended_reason: null },
  ]);
});

test('what is agreed beside the contract is there, and a closed one says so', () => {
  const closed = { type: 'tenant.closed', data: { tenantId: 'ten_1' } } as const;
  expect(project(tenants, [tenantOnboarded(), tenantChanged(), closed])).toMatchObject([
    { limits: { requestsPerMinute: 60 }, contact_version: 2n, status: 'closed' },
  ]);
});
