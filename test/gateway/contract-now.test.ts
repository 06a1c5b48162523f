import { afterEach, describe, expect, test } from 'vitest';
import type { ContractVersion } from '../../src/domain/contract.ts';
import { UNLIMITED } from '../../src/domain/limits.ts';
import type { Terms } from '../../src/domain/plan.ts';
import {
  contractAmended,
  contractApplied,
  contractEnded,
  keyLimitsChanged,
  tenantSuspended,
  terms,
} from '../support/events.ts';
import { ONE, errorOf, PRICES, startWorld, type World } from './harness.ts';

let world: World;
afterEach(() => world.stop());

const AT = Date.parse('2026-11-20T10:00:00.000Z');
const later = { now: AT };
const clock = { wallMs: () => later.now, monotonicMs: () => later.now };
const priced = (different: Partial<Terms>): Terms =>
  terms({ prices: { models: PRICES, markupPercent: null }, ...different });
const limited = (parallelRequests: number): Terms['limits'] => {
  const limits = { ...UNLIMITED, parallelRequests };
  return { production: limits, staging: limits };
};
const planned = (different: Partial<Terms> | null): ContractVersion => ({
  contractId: 'con_2',
  effectiveFrom: '2026-11-21T10:00:00.000Z',
  terms: different === null ? null : priced(different),
  agreed: null,
});

async function start(version: ContractVersion): Promise<void> {
  later.now = AT;
  world = await startWorld({ limits: { parallelRequests: 4 }, terms: { limits: limited(4) }, deps: clock });
  const { contractId, effectiveFrom, terms: next, agreed } = version;
  const facts = { contractId, effectiveFrom, planned: [version], ...(agreed === null ? {} : { agreed }) };
  world.apply(next === null ? contractEnded(facts) : contractAmended({ ...facts, terms: next }));
}

describe('a change that is agreed for later', () => {
  test('holds for the first request after its moment, before anybody wrote it into the keys', async () => {
    await start(planned({ limits: limited(0) }));
    expect((await world.chat()).status).toBe(200);
    later.now += 86_400_000 - 1;
    expect((await world.chat()).status).toBe(200);
    later.now += 1;
    const refused = await world.chat();
    expect(refused.status).toBe(429);
    expect(errorOf(await refused.json())).toMatchObject({
      detail: { kind: 'max_parallel_requests', limit: 0 },
    });
    world.apply(
      keyLimitsChanged({ limits: { ...UNLIMITED, parallelRequests: 0 } }),
      contractApplied({ version: planned({ limits: limited(0) }) }),
    );
    expect((await world.chat()).status).toBe(429);
  });

  test('brings its prices with it', async () => {
    const model = PRICES['demo-small'];
    const dearer = {
      'demo-small': { ...model, inputRate: model.inputRate * 2n, outputRate: model.outputRate * 2n },
    };
    await start(planned({ prices: { models: dearer, markupPercent: null } }));
    await (await world.chat()).text();
    later.now += 86_400_000;
    await (await world.chat()).text();
    const [before, after] = await world.spends();
    expect(after!.priceNanos).toBe(before!.priceNanos * 2n);
  });

  test('may agree on prices apart from the plan', async () => {
    const model = PRICES['demo-small'];
    const half = { ...model, inputRate: model.inputRate / 2n, outputRate: model.outputRate / 3n };
    await start({ ...planned({}), agreed: { prices: { models: { 'demo-small': half } } } });
    later.now += 86_400_000;
    await (await world.chat()).text();
    expect((await world.spends())[0]!.priceNanos).toBe(19n);
  });

  test('that ends the contract refuses everything from then on', async () => {
    await start(planned(null));
    expect((await world.chat()).status).toBe(200);
    later.now += 86_400_000;
    const refused = await world.chat();
    expect([refused.status, errorOf(await refused.json()).message]).toEqual([
      403,
      'The contract behind this key has ended. Please contact your provider.',
    ]);
  });
});

test('a tenant that is reinstated can use its paused keys at once', async () => {
  await start(planned({}));
  world.apply(
    tenantSuspended(),
    keyLimitsChanged({ limits: { ...UNLIMITED, parallelRequests: 0 }, pausedParallel: 4 }),
    contractApplied({ version: null, paused: true }),
  );
  expect((await world.chat()).status).toBe(403);
  world.apply({ type: 'tenant.reinstated', data: { tenantId: 'ten_1' } });
  expect((await world.chat()).status).toBe(200);
});

describe('a contract that throttles beyond its included usage', () => {
  // One request costs 48 nanos: three are included, and then two a minute are served.
  const throttled = (rates: { requestsPerMinute: number | null; tokensPerMinute: number | null }) =>
    ({ includedUsageNanos: 150n, overage: { policy: 'throttle', ...rates } }) as const;
  const twoRequests = throttled({ requestsPerMinute: 2, tokensPerMinute: null });

  test('serves what goes beyond it at the lower rate, bills it, and says so when it refuses', async () => {
    later.now = AT;
    world = await startWorld({ limits: {}, terms: twoRequests, deps: clock });
    const statuses = [];
    for (let i = 0; i < 5; i += 1) statuses.push((await world.chat()).status);
    expect(statuses).toEqual([200, 200, 200, 200, 200]);
    const refused = await world.chat();
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '61']);
    const { message, detail } = errorOf(await refused.json());
    expect(message).toContain(
      'The usage that the contract of organization: ten_1 includes is spent for this month; beyond it 2 requests per minute are served',
    );
    expect(detail).toMatchObject({ limit: 2, renewsAt: '2026-11-30T23:00:00.000Z' });
    expect((await world.spends()).reduce((sum, { priceNanos }) => sum + priceNanos, 0n)).toBe(5n * ONE);
    later.now += 61_000;
    expect((await world.chat()).status).toBe(200);
    // The next month includes three again.
    later.now = Date.parse('2026-12-01T10:00:00.000Z');
    for (let i = 0; i < 5; i += 1) expect((await world.chat()).status).toBe(200);
    expect((await world.chat()).status).toBe(429);
  });

  test('gives an answer without a limit of its own no more tokens than the lower rate could admit', async () => {
    later.now = AT;
    const terms40 = throttled({ requestsPerMinute: null, tokensPerMinute: 60 });
    world = await startWorld({ limits: {}, terms: { ...terms40, includedUsageNanos: 1n }, deps: clock });
    expect((await world.chat({ max_tokens: undefined })).status).toBe(200);
  });

  test('lets parallel requests beyond it no further than the lower rate', async () => {
    later.now = AT;
    world = await startWorld({ limits: {}, terms: twoRequests, deps: clock });
    const answers = await Promise.all(Array.from({ length: 12 }, () => world.chat()));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(5);
  });
});

test('a contract that blocks beyond its included usage refuses what goes beyond it, by days in its first month', async () => {
  later.now = AT;
  // One request costs 48 nanos. Ten of thirty days of 432 nanos are 144: three requests.
  const overage = { includedUsageNanos: 432n, overage: { policy: 'block' } } as const;
  world = await startWorld({ limits: {}, terms: overage, deps: clock });
  const signed = { contractId: 'con_1', effectiveFrom: '2026-11-21T09:00:00.000Z', terms: priced(overage) };
  world.apply({ type: 'contract.signed', data: { tenantId: 'ten_1', ...signed } });
  const statuses = async (count: number) => {
    const answers: number[] = [];
    for (let i = 0; i < count; i += 1) answers.push((await world.chat()).status);
    return answers;
  };
  later.now = Date.parse('2026-11-25T10:00:00.000Z');
  expect(await statuses(4)).toEqual([200, 200, 200, 422]);
  later.now = Date.parse('2026-12-02T10:00:00.000Z');
  expect(await statuses(10)).toEqual([...Array.from({ length: 9 }, () => 200), 422]);
});
