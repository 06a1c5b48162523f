import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  carriedOver,
  type ContractVersion,
  keyLimitsOf,
  stepsThrough,
  withVersion,
} from '../../src/domain/contract.ts';
import { key, type KeyEvent } from '../../src/domain/key.ts';
import type { Limits } from '../../src/domain/limits.ts';
import { limitsFor, tenantLimitsFor } from '../../src/domain/plan.ts';
import { NO_CONTRACT, standing } from '../../src/domain/tenant-contract.ts';
import { tenant, type TenantEvent } from '../../src/domain/tenant.ts';
import { keyGenerated, keySettings } from '../support/events.ts';
import { specification } from '../support/specification.ts';
import { someLimits, someTerms } from '../support/terms.ts';

const production = (different: Partial<Limits>) =>
  someTerms({ limits: { production: someLimits(different), staging: someLimits() } });
function version(from: string, different: Partial<Limits> | null, id = `con of ${from}`): ContractVersion {
  const terms = different === null ? null : production(different);
  return { contractId: id, effectiveFrom: `${from}T00:00:00.000Z`, terms, agreed: null };
}
const small = version('2026-11-01', { requestsPerMinute: 100 });
const large = version('2026-11-10', { requestsPerMinute: 500 });
const tiny = version('2026-12-01', { requestsPerMinute: 50 });

function carried(own: Partial<Limits>, ...versions: readonly [ContractVersion, ...ContractVersion[]]) {
  const [first, ...others] = versions;
  return carriedOver(someLimits(own), 'production', stepsThrough(keyLimitsOf(first), others));
}

describe('the limits of a key', () => {
  test('are those of its environment, with what was agreed apart from the plan put over them', () => {
    const terms = production({ requestsPerMinute: 100 });
    const agreed = { limits: { production: { requestsPerMinute: 900 } }, tenantLimits: { budget: null } };
    expect(limitsFor(terms, 'production', agreed)).toEqual({
      ...terms.limits.production,
      requestsPerMinute: 900,
    });
    expect(limitsFor(terms, 'staging', agreed)).toEqual(terms.limits.staging);
    expect(limitsFor(terms, 'production', null)).toEqual(terms.limits.production);
    expect(tenantLimitsFor(terms, agreed)).toEqual({ ...terms.tenantLimits, budget: null });
  });

  test('follow the contract up and down', () => {
    expect(carried({ requestsPerMinute: 100 }, small, large).requestsPerMinute).toBe(500);
    expect(carried({ requestsPerMinute: 100 }, small, large, tiny).requestsPerMinute).toBe(50);
  });

  test('stay where they were set lower by hand, unless the new contract allows less', () => {
    expect(carried({ requestsPerMinute: 80 }, small, large).requestsPerMinute).toBe(80);
    expect(carried({ requestsPerMinute: 80 }, small, tiny).requestsPerMinute).toBe(50);
    const budget = { nanos: 5n, window: '1d' };
    expect(carried({ budget }, small, large).budget).toEqual(budget);
  });

  test('come down to the contract where they were higher than it', () => {
    expect(carried({ requestsPerMinute: 10_000 }, small, large).requestsPerMinute).toBe(500);
    const budget = { nanos: 10n ** 15n, window: '1mo' };
    expect(carried({ budget }, small, large).budget).toEqual(someLimits().budget);
  });

  test('keep a list of models by hand as far as the contract has them, and none is not all', () => {
    const of = (...models: string[]) => version('2026-11-10', { models });
    const own = { models: ['a', 'b'] };
    expect(carried(own, small, of('b', 'c')).models).toEqual(['b']);
    expect(carried(own, small, of('c')).models).toEqual(['no-default-models']);
    expect(carried(own, of('a', 'b'), { ...of('c'), effectiveFrom: tiny.effectiveFrom }).models).toEqual([
      'c',
    ]);
    expect(carried({ models: [] }, small, of('c')).models).toEqual(['c']);
  });

  test('are the same however often the same change is written into them', () => {
    const count = fc.option(fc.nat(200));
    const limits = fc.record({ requestsPerMinute: count, tokensPerMinute: count, parallelRequests: count });
    fc.assert(
      fc.property(limits, limits, limits, (own, before, after) => {
        const steps = stepsThrough(keyLimitsOf(version('2026-11-01', before)), [
          version('2026-12-01', after),
        ]);
        const once = carriedOver(someLimits(own), null, steps);
        expect(carriedOver(once, null, steps)).toEqual(once);
        for (const name of ['requestsPerMinute', 'tokensPerMinute', 'parallelRequests'] as const) {
          expect(once[name] ?? Infinity).toBeLessThanOrEqual(after[name] ?? Infinity);
        }
      }),
    );
  });
});

describe('what is agreed for later', () => {
  test('is replaced by a later word from its moment on, and stands before it', () => {
    const versions = [small, large, tiny];
    const between = version('2026-11-20', {}, 'between');
    expect(withVersion(versions, between)).toEqual([small, large, between]);
    expect(
      withVersion(versions, version('2026-10-01', {}, 'back')).map(({ contractId }) => contractId),
    ).toEqual(['back']);
  });

  test('is in force from its moment on, however late it is written into the keys', () => {
    const state = { applied: small, planned: [large, tiny] };
    expect(standing(state, '2026-11-09T23:59:59.999Z', false)).toMatchObject({ applied: small, due: [] });
    expect(standing(state, '2026-11-10T00:00:00.000Z', false)).toMatchObject({
      applied: large,
      due: [large],
    });
    expect(standing(state, '2027-01-01T00:00:00.000Z', false).due).toEqual([large, tiny]);
  });
});

describe('a tenant', () => {
  const given = specification(tenant);
  const onboarded: TenantEvent = {
    type: 'tenant.onboarded',
    data: { tenantId: 'ten_1', agencyId: 'age_1', own: false, contactVersion: 1 },
  };
  const { agreed: _, terms, ...facts } = small;
  const signed: TenantEvent = {
    type: 'contract.signed',
    data: { tenantId: 'ten_1', ...facts, terms: terms! },
  };
  const includes = ({ effectiveFrom, terms }: ContractVersion) => ({
    effectiveFrom,
    nanos: terms?.includedUsageNanos ?? 0n,
  });
  const amended = (next: ContractVersion): TenantEvent => ({
    type: 'contract.amended',
    data: {
      tenantId: 'ten_1',
      contractId: next.contractId,
      effectiveFrom: next.effectiveFrom,
      terms: next.terms!,
      planned: [next],
      included: [includes(small), includes(next)],
    },
  });

  test('changes its contract in two events: agreed, and written into every key', () => {
    given(onboarded, signed)
      .when({ type: 'agree', version: large })
      .gives(amended(large))
      .andThen({
        terms: small.terms,
        contract: { applied: small, planned: [large], versions: [small, large] },
      });
    const data = { tenantId: 'ten_1', version: large, planned: [], paused: false };
    given(onboarded, signed, amended(large))
      .when({ type: 'apply-contract', at: large.effectiveFrom })
      .gives({ type: 'contract.applied', data })
      .andNothingWhenRepeated();
    given(onboarded, signed, amended(large))
      .when({ type: 'apply-contract', at: small.effectiveFrom })
      .gives();
  });

  test('that agrees on what it has already changes nothing', () => {
    given(onboarded, signed)
      .when({ type: 'agree', version: { ...large, terms } })
      .gives();
    given(onboarded)
      .when({ type: 'agree', version: { ...large, terms: null } })
      .gives();
  });

  test('ends its contract, is paused with it, and can sign another', () => {
    const end = { ...large, terms: null };
    const planned = { planned: [end], included: [includes(small), includes(end)] };
    const { contractId, effectiveFrom } = end;
    const ended: TenantEvent = {
      type: 'contract.ended',
      data: { tenantId: 'ten_1', contractId, effectiveFrom, ...planned },
    };
    given(onboarded, signed).when({ type: 'agree', version: end }).gives(ended);
    given(onboarded, signed, ended)
      .when({ type: 'apply-contract', at: effectiveFrom })
      .gives({
        type: 'contract.applied',
        data: { tenantId: 'ten_1', version: end, planned: [], paused: true },
      })
      .andThen({
        terms: null,
        contract: {
          ...NO_CONTRACT,
          applied: end,
          followed: keyLimitsOf(small),
          paused: true,
          versions: [small, end],
        },
      });
    const again = given(onboarded, signed, ended).state;
    expect(tenant.decide({ type: 'agree', version: tiny }, again)).toMatchObject([
      { type: 'contract.signed' },
    ]);
  });

  test('that is suspended is paused, and runs again when it is reinstated', () => {
    const suspended: TenantEvent = {
      type: 'tenant.suspended',
      data: { tenantId: 'ten_1', reason: 'payment' },
    };
    const reinstated: TenantEvent = { type: 'tenant.reinstated', data: { tenantId: 'ten_1' } };
    const applied = (paused: boolean): TenantEvent => ({
      type: 'contract.applied',
      data: { tenantId: 'ten_1', version: small, planned: [], paused },
    });
    const at = '2026-11-20T00:00:00.000Z';
    given(onboarded, signed, suspended).when({ type: 'apply-contract', at }).gives(applied(true));
    given(onboarded, signed, suspended, applied(true), reinstated)
      .when({ type: 'apply-contract', at })
      .gives(applied(false))
      .andNothingWhenRepeated();
  });
});

describe('a key of a paused tenant', () => {
  const given = specification(key);
  const limits = someLimits({ parallelRequests: 3 });
  const generated: KeyEvent = keyGenerated({ limits, settings: keySettings({ environment: 'production' }) });
  const paused: KeyEvent = {
    type: 'key.limits-changed',
    data: { keyId: 'key_1', limits: { ...limits, parallelRequests: 0 }, pausedParallel: 3 },
  };
  const running: KeyEvent = { type: 'key.limits-changed', data: { keyId: 'key_1', limits } };

  test('runs nothing, and what it had afterwards', () => {
    given(generated).when({ type: 'comply', steps: [], paused: true }).gives(paused).andNothingWhenRepeated();
    given(generated, paused)
      .when({ type: 'comply', steps: [], paused: false })
      .gives(running)
      .andNothingWhenRepeated();
  });

  test('takes what is set by hand for later', () => {
    given(generated, paused)
      .when({ type: 'change', limits: { parallelRequests: 2 } })
      .gives({
        type: 'key.limits-changed',
        data: { keyId: 'key_1', limits: { ...limits, parallelRequests: 0 }, pausedParallel: 2 },
      });
  });
});
