import { describe, expect, test } from 'vitest';
import { dunning, suspension } from '../../src/domain/dunning.ts';
import { tenantOnboarded, tenantReinstated, tenantSuspended } from '../support/events.ts';
import { specification } from '../support/specification.ts';

const given = specification(dunning);
const suspend = { type: 'suspend-unpaid', tenantId: 'ten_1', number: 'RE-2026-00007' } as const;
const lift = { type: 'lift-unpaid', tenantId: 'ten_1' } as const;
const unpaid = tenantSuspended({ reason: 'unpaid invoice RE-2026-00007' });

describe('dunning', () => {
  test('suspends a tenant once, and only one that is active', () => {
    given(tenantOnboarded()).when(suspend).gives(unpaid).andNothingWhenRepeated();
    given().when(suspend).gives();
    given(tenantOnboarded(), tenantSuspended()).when(suspend).gives();
    given(tenantOnboarded(), { type: 'tenant.closed', data: { tenantId: 'ten_1' } })
      .when(suspend)
      .gives();
  });

  test('lifts what it has suspended itself, and nothing that somebody else has', () => {
    given(tenantOnboarded(), unpaid).when(lift).gives(tenantReinstated()).andNothingWhenRepeated();
    given(tenantOnboarded(), tenantSuspended({ reason: 'fraud' }))
      .when(lift)
      .gives();
    given(tenantOnboarded(), unpaid, tenantReinstated(), tenantSuspended({ reason: 'fraud' }))
      .when(lift)
      .gives();
  });

  test('says in its refusal what can be done; other suspensions say less', () => {
    expect(suspension(unpaid.data.reason)).toMatchObject({
      code: 'tenant_unpaid',
      detail: { number: 'RE-2026-00007' },
    });
    expect(suspension('fraud')).toMatchObject({ code: 'tenant_suspended', detail: {} });
    expect(suspension(null).code).toBe('tenant_suspended');
  });
});
