import { describe, expect, test } from 'vitest';
import { fold } from '../../src/domain/decider.ts';
import { type NewProject, tenant, type TenantCommand, type TenantEvent } from '../../src/domain/tenant.ts';
import { specification } from '../support/specification.ts';
import { someTerms } from '../support/terms.ts';

const given = specification(tenant);
const tenantId = 'ten_1';
const facts = { tenantId, agencyId: 'age_1', own: false, contactVersion: 1 };
const contract = { contractId: 'con_1', effectiveFrom: '2026-11-01T00:00:00.000Z', terms: someTerms() };
const shop: NewProject = { projectId: 'prj_1', environments: ['production', 'staging'], limits: null };
const chat: NewProject = { projectId: 'prj_2', environments: ['production'], limits: null };

const onboarded: TenantEvent = { type: 'tenant.onboarded', data: facts };
const signed: TenantEvent = { type: 'contract.signed', data: { tenantId, ...contract } };
const opened = (project: NewProject): TenantEvent => ({
  type: 'project.opened',
  data: { tenantId, ...project },
});
const suspended: TenantEvent = { type: 'tenant.suspended', data: { tenantId, reason: 'payment' } };
const reinstated: TenantEvent = { type: 'tenant.reinstated', data: { tenantId } };
const blocked: TenantEvent = { type: 'project.blocked', data: { projectId: 'prj_1' } };
const unblocked: TenantEvent = { type: 'project.unblocked', data: { projectId: 'prj_1' } };

describe('onboarding', () => {
  test('makes tenant, contract and projects in one go', () => {
    given()
      .when({ type: 'onboard', tenant: facts, contract, projects: [shop, chat] })
      .gives(onboarded, signed, opened(shop), opened(chat))
      .andThen({ status: 'active', tenantId, agencyId: 'age_1', terms: contract.terms });
  });

  test('of the agency’s own tenant needs no contract', () => {
    const own = { ...facts, own: true };
    given()
      .when({ type: 'onboard', tenant: own, contract: null, projects: [] })
      .gives({ type: 'tenant.onboarded', data: own })
      .andThen({ terms: null });
  });

  test('happens once', () => {
    given(onboarded)
      .when({ type: 'onboard', tenant: facts, contract, projects: [] })
      .refuses('tenant_exists');
  });

  test('refuses two projects with one id', () => {
    given()
      .when({
        type: 'onboard',
        tenant: facts,
        contract,
        projects: [shop, chat, { ...chat, projectId: 'prj_1' }],
      })
      .refuses('project_exists', { projectId: 'prj_1' });
  });
});

describe('a project', () => {
  test('is opened in an active tenant, under an id that is free', () => {
    given(onboarded, signed).when({ type: 'open-project', project: shop }).gives(opened(shop));
    given(onboarded, opened(shop)).when({ type: 'open-project', project: shop }).refuses('project_exists');
    given(onboarded, suspended)
      .when({ type: 'open-project', project: shop })
      .refuses('tenant_not_active', { status: 'suspended' });
  });

  test('is blocked and unblocked, and doing it twice changes nothing', () => {
    given(onboarded, opened(shop))
      .when({ type: 'block-project', projectId: 'prj_1' })
      .gives(blocked)
      .andNothingWhenRepeated();
    given(onboarded, opened(shop), blocked)
      .when({ type: 'unblock-project', projectId: 'prj_1' })
      .gives(unblocked)
      .andNothingWhenRepeated();
  });

  test('that was never opened can be neither', () => {
    for (const type of ['block-project', 'unblock-project'] as const) {
      given(onboarded, opened(shop))
        .when({ type, projectId: 'prj_9' })
        .refuses('not_found', { what: 'team' });
    }
  });

  test('is blocked while others stay open', () => {
    const state = fold(tenant, [onboarded, opened(shop), opened(chat), blocked]);
    expect(state.status !== 'absent' && [...state.projects].map(([id, { status }]) => [id, status])).toEqual([
      ['prj_1', 'blocked'],
      ['prj_2', 'open'],
    ]);
  });
});

describe('a tenant', () => {
  test('is suspended and reinstated, and doing it twice changes nothing', () => {
    given(onboarded).when({ type: 'suspend', reason: 'payment' }).gives(suspended).andNothingWhenRepeated();
    given(onboarded, suspended).when({ type: 'reinstate' }).gives(reinstated).andNothingWhenRepeated();
  });

  test('keeps its contract and projects through it', () => {
    const state = fold(tenant, [onboarded, signed, opened(shop), suspended, reinstated]);
    expect(state).toMatchObject({ status: 'active', terms: contract.terms });
    expect(state.status !== 'absent' && state.projects.has('prj_1')).toBe(true);
  });

  test('that does not exist refuses everything but onboarding', () => {
    const commands: TenantCommand[] = [
      { type: 'open-project', project: shop },
      { type: 'block-project', projectId: 'prj_1' },
      { type: 'unblock-project', projectId: 'prj_1' },
      { type: 'suspend', reason: 'payment' },
      { type: 'reinstate' },
    ];
    for (const command of commands) given().when(command).refuses('not_found', { what: 'tenant' });
  });

  test('takes any event in any state without failing', () => {
    for (const event of [signed, opened(shop), blocked, unblocked, suspended, reinstated]) {
      expect(tenant.evolve(tenant.initial, event)).toEqual(tenant.initial);
    }
    expect(fold(tenant, [onboarded, blocked])).toMatchObject({ status: 'active' });
  });
});
