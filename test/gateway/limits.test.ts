import { afterEach, describe, expect, test } from 'vitest';
import { keyLimitsChanged, limits } from '../support/events.ts';
import { UNLIMITED } from '../../src/domain/limits.ts';
import {
  errorOf,
  MASTER_KEY,
  ONE,
  scripted,
  startWorld,
  until,
  type World,
  type WorldOptions,
} from './harness.ts';

let world: World;
afterEach(() => world.stop());

const start = async (options: WorldOptions = {}): Promise<void> => {
  world = await startWorld(options);
};

const clock = (startMs = 1_000_000) => {
  const now = { ms: startMs };
  const wallStart = Date.parse('2026-11-20T10:00:00.000Z') - startMs;
  return { now, deps: { monotonicMs: () => now.ms, wallMs: () => wallStart + now.ms } };
};

async function statuses(count: number, body: object = {}): Promise<Record<number, number>> {
  const responses = await Promise.all(Array.from({ length: count }, () => world.chat(body)));
  const counts: Record<number, number> = {};
  for (const response of responses) {
    await response.arrayBuffer();
    counts[response.status] = (counts[response.status] ?? 0) + 1;
  }
  return counts;
}

describe('a budget', () => {
  const levels: readonly [string, WorldOptions][] = [
    ['key', { limits: { budget: { nanos: 50n * ONE, window: null } } }],
    ['project', { projectLimits: { budget: { nanos: 50n * ONE + 1n, window: '1mo' } } }],
    [
      'tenant',
      { terms: { tenantLimits: { ...UNLIMITED, budget: { nanos: 51n * ONE - 1n, window: '1d' } } } },
    ],
  ];
  test.each(levels)(
    'of a %s that pays for 50 requests lets exactly 50 of 200 parallel ones through',
    async (_, options) => {
      await start(options);
      expect(await statuses(200)).toEqual({ 200: 50, 422: 150 });
      const spends = await world.spends();
      expect(spends).toHaveLength(50);
      expect(spends.reduce((sum, { priceNanos }) => sum + priceNanos, 0n)).toBe(50n * ONE);
      expect(world.upstream.stats().requests.answered).toBe(50);
    },
  );

  test('is exact for streams too', async () => {
    await start({ limits: { budget: { nanos: 20n * ONE, window: null } } });
    expect(await statuses(60, { stream: true })).toEqual({ 200: 20, 422: 40 });
    expect((await world.spends()).length).toBe(20);
  });

  test('that is spent is named with level, id, limit, spend, window and reset', async () => {
    const { deps } = clock();
    await start({ settings: { alias: 'shop' }, limits: { budget: { nanos: ONE, window: '1d' } }, deps });
    expect((await world.chat()).status).toBe(200);
    const response = await world.chat();
    expect(response.status).toBe(422);
    const error = errorOf(await response.json());
    expect(error).toMatchObject({
      type: 'budget_exceeded',
      code: '422',
      detail: {
        level: 'api_key',
        id: 'key_1',
        limit: '0.000000048',
        spent: '0.000000048',
        window: '1d',
        resetsAt: '2026-11-20T23:00:00.000Z',
      },
    });
    expect(error.message).toContain(
      'Key=shop (sk-...0001) Current cost: 0.000000048, Max budget: 0.000000048',
    );
  });

  test('starts anew with its window, and what was admitted before belongs to the one before', async () => {
    const { now, deps } = clock();
    await start({ limits: { budget: { nanos: ONE, window: '1h' } }, deps });
    expect(await statuses(2)).toEqual({ 200: 1, 422: 1 });
    now.ms += 3_600_000;
    expect(await statuses(2)).toEqual({ 200: 1, 422: 1 });
  });

  test('of zero refuses everything, even what is free', async () => {
    await start({ limits: { budget: { nanos: 0n, window: null } } });
    expect(await statuses(1)).toEqual({ 422: 1 });
    expect(await statuses(1, { model: 'demo-free' })).toEqual({ 422: 1 });
  });

  test('that is spent lets a model without a price through', async () => {
    await start({
      limits: { budget: { nanos: ONE, window: null } },
      deployments: (base) => [base, { ...base, publicName: 'demo-free', upstreamModel: 'demo-small' }],
    });
    expect(await statuses(1)).toEqual({ 200: 1 });
    expect(await statuses(1, { model: 'demo-free' })).toEqual({ 200: 1 });
    expect(await statuses(1)).toEqual({ 422: 1 });
  });

  test('shortens the answer of a request that names no limit to what it pays for', async () => {
    await start({ limits: { budget: { nanos: 18n + 3n * 7n + 2n, window: null } } });
    const response = await world.chat({ max_tokens: undefined });
    expect(response.status).toBe(200);
    expect(await world.spends()).toMatchObject([{ usage: { outputTokens: 7 }, priceNanos: 39n }]);
  });

  test('answers with the status that was configured', async () => {
    await start({ limits: { budget: { nanos: 1n, window: null } }, deps: { budgetExceededStatus: 429 } });
    expect(await statuses(1)).toEqual({ 429: 1 });
  });

  test('that is raised holds for the next request', async () => {
    await start({ limits: { budget: { nanos: ONE, window: null } } });
    expect(await statuses(2)).toEqual({ 200: 1, 422: 1 });
    world.apply(keyLimitsChanged({ limits: { ...UNLIMITED, budget: { nanos: 2n * ONE, window: null } } }));
    expect(await statuses(2)).toEqual({ 200: 1, 422: 1 });
  });

  test('counts what was spent before this process, which is asked once however many ask', async () => {
    let asked = 0;
    await start({
      limits: { budget: { nanos: 10n * ONE, window: null } },
      deps: {
        spentSince: async ({ level, id }) => {
          asked += 1;
          await new Promise((resolve) => {
            setTimeout(resolve, 20);
          });
          expect([level, id]).toEqual(['key', 'key_1']);
          return { nanos: 7n * ONE, position: 0n };
        },
      },
    });
    expect(await statuses(20)).toEqual({ 200: 3, 422: 17 });
    expect(asked).toBe(1);
  });

  test('that cannot be known refuses, and is looked up again by the next request', async () => {
    let fails = true;
    await start({
      limits: { budget: { nanos: ONE, window: null } },
      deps: {
        spentSince: () =>
          fails ? Promise.reject(new Error('no database')) : Promise.resolve({ nanos: 0n, position: 0n }),
      },
    });
    const response = await world.chat();
    expect([response.status, errorOf(await response.json()).reason]).toEqual([503, 'database_unavailable']);
    fails = false;
    expect(await statuses(1)).toEqual({ 200: 1 });
  });
});

describe('requests per minute', () => {
  test('let exactly so many of a burst through, and more once the minute has passed', async () => {
    const { now, deps } = clock();
    await start({ limits: { requestsPerMinute: 5 }, deps });
    const first = await world.chat();
    expect(first.headers.get('x-ratelimit-api_key-limit-requests')).toBe('5');
    expect(first.headers.get('x-ratelimit-api_key-remaining-requests')).toBe('4');
    expect(await statuses(20)).toEqual({ 200: 4, 429: 16 });
    const refused = await world.chat();
    const retryAfter = Number(refused.headers.get('retry-after'));
    expect(retryAfter).toBeGreaterThanOrEqual(60);
    expect(retryAfter).toBeLessThanOrEqual(61);
    expect(refused.headers.get('rate_limit_type')).toBe('requests');
    expect(errorOf(await refused.json())).toMatchObject({
      type: 'throttling_error',
      detail: { level: 'api_key', id: 'key_1', kind: 'requests', limit: 5, remaining: 0 },
    });
    now.ms += retryAfter * 1_000;
    expect(await statuses(6)).toEqual({ 200: 5, 429: 1 });
  });

  test('of a project are shared, and a request that it refuses uses nothing of its key', async () => {
    const { deps } = clock();
    await start({ limits: { requestsPerMinute: 10 }, projectLimits: { requestsPerMinute: 2 }, deps });
    expect(await statuses(5)).toEqual({ 200: 2, 429: 3 });
    world.apply(keyLimitsChanged({ limits: limits({ requestsPerMinute: 10, parallelRequests: null }) }));
    const response = await world.chat();
    expect(errorOf(await response.json()).detail).toMatchObject({ level: 'team', id: 'prj_1' });
  });

  test('do not concern the master key', async () => {
    await start({ limits: { requestsPerMinute: 0 } });
    expect((await world.chat()).status).toBe(429);
    expect((await world.chat({}, { authorization: `Bearer ${MASTER_KEY}` })).status).toBe(200);
  });
});

describe('tokens per minute', () => {
  test('are reserved by the worst case, and what was not used is free again', async () => {
    const { deps } = clock();
    await start({ limits: { tokensPerMinute: 100 }, deps });
    expect(await statuses(10)).toEqual({ 200: 5, 429: 5 });
    world.apply(keyLimitsChanged({ limits: { ...UNLIMITED, tokensPerMinute: 200 } }));
    // An upstream error uses nothing, though up to 100 were reserved.
    const failed = await world.chat({ max_tokens: 91, metadata: { simulate: 'status:500' } });
    expect(failed.status).toBe(500);
    expect(failed.headers.get('x-ratelimit-api_key-remaining-tokens')).toBe('105');
    const refused = await world.chat({ max_tokens: 500 });
    expect(errorOf(await refused.json()).detail).toMatchObject({
      kind: 'tokens',
      needed: 509,
      resetsAt: 'never',
    });
    expect(refused.headers.get('retry-after')).toBeNull();
  });

  test('shorten the answer of a request that names no limit to what could ever pass', async () => {
    await start({ limits: { tokensPerMinute: 30 } });
    expect((await world.chat({ max_tokens: undefined })).status).toBe(200);
    expect(await world.spends()).toMatchObject([{ usage: { inputTokens: 9, outputTokens: 21 } }]);
  });
});

describe('parallel requests', () => {
  test('let exactly so many run at once, and the next when one has ended', async () => {
    const running: (() => void)[] = [];
    const upstream = await scripted((_request, response) => {
      running.push(() => response.end('{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":0}}'));
    });
    await start({ limits: { parallelRequests: 2 }, deployment: { baseUrl: upstream.url } });
    let refused = 0;
    const answers = Array.from({ length: 10 }, async () => {
      const { status } = await world.chat();
      if (status === 429) refused += 1;
      return status;
    });
    await until(() => refused === 8 && running.length === 2);
    for (const end of running.splice(0)) end();
    expect((await Promise.all(answers)).filter((status) => status === 200)).toHaveLength(2);
    const next = world.chat();
    await until(() => running.length === 1);
    running[0]!();
    expect((await next).status).toBe(200);
    await upstream.stop();
  });

  test('of zero refuse every call', async () => {
    await start({ limits: { parallelRequests: 0 } });
    expect(await statuses(2)).toEqual({ 429: 2 });
  });
});
