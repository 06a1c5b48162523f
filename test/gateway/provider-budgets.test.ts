import * as fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Deployment } from '../../src/domain/deployment.ts';
import type { ProviderBudget } from '../../src/domain/routing.ts';
import { type Rates, rate } from '../../src/domain/spend.ts';
import { worstCost } from '../../src/gateway/billable.ts';
import type { Call } from '../../src/gateway/call.ts';
import type { LedgerQuestion } from '../../src/gateway/ledger-question.ts';
import {
  createProviderBudgets,
  type Hold,
  type ProviderBudgets,
} from '../../src/gateway/provider-budgets.ts';
import { readLitellmConfig } from '../../src/litellm-config.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { errorOf, PRICES, scripted, startWorld, type World, type WorldOptions } from './harness.ts';
import { type Seat, takeSeat } from './seats.ts';

const worlds: World[] = [];
const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.stop();
  for (const close of closers.splice(0)) await close();
});

/** Nanos that one `world.chat()` costs the agency: 9 tokens in, 10 out, which is also the worst case. */
const ONE = 29n;
const COSTS = { input: 1_000_000n, 'cached-input': 1_000_000n, output: 2_000_000n };
const NOON = Date.parse('2026-11-20T11:00:00Z');
/** In Berlin. */
const MIDNIGHT = '2026-11-20T23:00:00.000Z';
const BOTH = { 'demo-small': PRICES['demo-small'], 'demo-large': PRICES['demo-small'] };
const TERMS = { prices: { models: BOTH, markupPercent: null } };

async function worldOf(
  providers: Readonly<Record<string, Partial<Deployment>>>,
  budget: bigint,
  options: WorldOptions = {},
): Promise<World> {
  const world = await startWorld({
    terms: TERMS,
    ...options,
    routing: { providerBudgets: { openai: { nanos: budget, window: '1d' } }, ...options.routing },
    deployments: (base) =>
      Object.entries(providers).map(([id, different]) => ({
        ...base,
        id,
        provider: 'openai',
        publicName: 'demo-small',
        costRates: COSTS,
        ...different,
      })),
  });
  worlds.push(world);
  return world;
}

async function statuses(world: World, count: number): Promise<number[]> {
  const found: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const answer = await world.chat();
    await answer.arrayBuffer();
    found.push(answer.status);
  }
  return found;
}

const servedBy = async (world: World) => (await world.spends()).map(({ deployment }) => deployment);

describe('a provider whose budget is spent', () => {
  test('is left out by routing, and the others go on', async () => {
    const world = await worldOf({ a: {}, b: { provider: 'azure' }, c: { provider: undefined } }, 2n * ONE);
    expect(await statuses(world, 4)).toEqual([200, 200, 200, 200]);
    expect(await servedBy(world)).toEqual(['a', 'a', 'b', 'b']);
  });

  test('leads to the fallback', async () => {
    const large = { provider: 'azure', publicName: 'demo-large' };
    const routing = { fallbacks: { 'demo-small': ['demo-large'] } };
    const world = await worldOf({ a: {}, b: large }, ONE, { routing });
    expect(await statuses(world, 2)).toEqual([200, 200]);
    expect(await servedBy(world)).toEqual(['a', 'b']);
  });

  test('is a refusal with the time of its end and without an amount when nobody else is left, and takes calls again in the next window', async () => {
    let nowMs = NOON;
    const world = await worldOf({ a: {}, b: {} }, ONE, { deps: { wallMs: () => nowMs } });
    expect(await statuses(world, 1)).toEqual([200]);
    const refused = await world.chat();
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe(String(12 * 3_600));
    const error = errorOf(await refused.json());
    expect(error).toMatchObject({
      type: 'budget_exceeded',
      reason: 'provider_budget_exceeded',
      detail: { model: 'demo-small', resetsAt: MIDNIGHT },
    });
    expect(error.message).not.toMatch(/openai|EUR|0\.0000/);
    expect(Object.keys(error.detail!).toSorted()).toEqual(['model', 'resetsAt']);
    nowMs = Date.parse(MIDNIGHT);
    expect(await statuses(world, 2)).toEqual([200, 429]);
  });

  test('takes nothing that costs nothing either, and a budget of zero lets nothing through', async () => {
    const free = { costRates: null };
    const world = await worldOf({ a: {}, b: { ...free, publicName: 'demo-large' } }, ONE);
    const large = { model: 'demo-large' };
    expect((await world.chat(large)).status).toBe(200);
    expect(await statuses(world, 1)).toEqual([200]);
    expect((await world.chat(large)).status).toBe(429);
    expect(await statuses(await worldOf({ a: free }, 0n), 1)).toEqual([429]);
  });
});

/** Answers with 10 tokens, after as many failures. */
async function tenTokens(failures: number): Promise<Pick<Deployment, 'baseUrl'>> {
  let asked = 0;
  const upstream = await scripted((_request, response) => {
    asked += 1;
    const usage = { prompt_tokens: 9, completion_tokens: 10, total_tokens: 19 };
    response.writeHead(asked <= failures ? 500 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ id: 'x', choices: [{ index: 0, message: { content: 'hi' } }], usage }));
  });
  closers.push(upstream.stop);
  return { baseUrl: `${upstream.url}/v1` };
}

test('what is held and not used is free again: of answers that fail, and of those that are shorter', async () => {
  const world = await worldOf({ a: await tenTokens(3) }, 2n * ONE);
  expect(await statuses(world, 3)).toEqual([500, 500, 500]);
  const longer = { max_tokens: 20 };
  expect((await world.chat(longer)).status).toBe(200);
  expect((await world.chat(longer)).status).toBe(429);
  expect(await statuses(world, 2)).toEqual([200, 429]);
});

test.each([
  ['the same deployment', (at: Partial<Deployment>) => ({ a: at }), {}],
  ['another one of the provider', (at: Partial<Deployment>) => ({ a: at, b: at }), {}],
  [
    'a fallback of the provider',
    (at: Partial<Deployment>) => ({ a: at, b: { ...at, publicName: 'demo-large' } }),
    { retries: 0, fallbacks: { 'demo-small': ['demo-large'] } },
  ],
])('a second attempt at %s needs no second room in the budget', async (_where, among, routing) => {
  const world = await worldOf(among(await tenTokens(1)), ONE, { routing: { retries: 1, ...routing } });
  expect(await statuses(world, 2)).toEqual([200, 429]);
  const spends = await world.spends();
  expect(spends.reduce((sum, { costNanos }) => sum + costNanos, 0n)).toBe(ONE);
});

test('a second attempt does not go to a provider whose budget is spent', async () => {
  const at = await tenTokens(1);
  const other = { ...at, provider: 'azure' };
  const world = await worldOf({ b: { ...other, weight: 9 }, a: at }, 0n, { routing: { retries: 1 } });
  expect(await statuses(world, 1)).toEqual([200]);
  expect(await servedBy(world)).toEqual(['b']);
});

test('300 requests at once cost the agency exactly the budget', async () => {
  const world = await worldOf({ a: {}, b: {} }, 50n * ONE);
  const answers = await Promise.all(
    Array.from({ length: 300 }, async (_, i) => {
      const answer = await world.chat({ stream: i % 4 === 0 });
      await answer.arrayBuffer();
      return answer.status;
    }),
  );
  expect(answers.filter((status) => status === 200)).toHaveLength(50);
  expect(answers.filter((status) => status === 429)).toHaveLength(250);
  const spends = await world.spends();
  expect(spends.reduce((sum, { costNanos }) => sum + costNanos, 0n)).toBe(50n * ONE);
});

test('what was paid before a restart comes from the ledger, and is told with the budget', async () => {
  const asked: LedgerQuestion[] = [];
  const world = await worldOf({ a: {}, b: { provider: 'azure' } }, 3n * ONE, {
    deps: {
      wallMs: () => NOON,
      spentSince(question) {
        asked.push(question);
        return Promise.resolve({ nanos: question.level === 'provider' ? 2n * ONE : 0n, position: 0n });
      },
    },
  });
  expect(await statuses(world, 2)).toEqual([200, 200]);
  expect(await servedBy(world)).toEqual(['a', 'b']);
  const since = '2026-11-19T23:00:00.000Z';
  expect(asked).toContainEqual(expect.objectContaining({ level: 'provider', id: 'openai', since }));
  expect(await world.gateway.providerSpends()).toMatchObject([
    { provider: 'openai', nanos: 2n * ONE, endsAt: MIDNIGHT },
  ]);
});

test('no division of the tokens costs more than what is held', () => {
  const rates = fc.record({
    input: fc.bigInt(0n, 5_000_000n),
    'cached-input': fc.bigInt(0n, 5_000_000n),
    output: fc.bigInt(0n, 5_000_000n),
    'cache-write': fc.option(fc.bigInt(0n, 5_000_000n), { nil: undefined }),
    'audio-output': fc.option(fc.bigInt(0n, 5_000_000n), { nil: undefined }),
  });
  const tokens = fc.tuple(fc.nat(500), fc.nat(500), fc.nat(500), fc.nat(500), fc.nat(500));
  fc.assert(
    fc.property(rates, tokens, (given, [fresh, cached, written, said, spoken]) => {
      const costs = Object.fromEntries(
        Object.entries(given).filter(([, rate]) => rate !== undefined),
      ) as unknown as Rates;
      const [inputTokens, outputTokens] = [fresh + cached + written, said + spoken];
      const units = { 'cache-write': written, 'audio-output': spoken };
      const usage = { inputTokens, cachedInputTokens: cached, outputTokens, reasoningTokens: 0, units };
      const paid = rate(usage, costs, costs).reduce((sum, { costNanos }) => sum + costNanos, 0n);
      const call = { quantities: null } as Call;
      expect(paid).toBeLessThanOrEqual(worstCost(call, costs, inputTokens, outputTokens));
    }),
  );
});

describe('of several processes', () => {
  let database: TestDatabase;
  const seats: Seat[] = [];
  beforeAll(async () => {
    database = await testDatabase();
  });
  afterEach(async () => {
    for (const { shares } of seats.splice(0)) await shares.stop();
    await database.pool.query(
      'delete from limit_shares; delete from limit_bases; delete from gateway_processes',
    );
  });
  afterAll(() => database.drop());

  let nowMs = 1_000;
  const deployment = { id: 'a', provider: 'openai' } as Deployment;
  const budget: ProviderBudget = { nanos: 1_000n, window: '1d' };

  async function process(): Promise<{ readonly seat: Seat; readonly costs: ProviderBudgets }> {
    const seat = await takeSeat(database, {
      now: () => ({ wallMs: NOON + nowMs, monotonicMs: nowMs }),
      // As if nothing had come to the log yet.
      spentSince: ({ tag }) => Promise.resolve({ nanos: tag === undefined ? 100n : 0n, position: 5n }),
    });
    seats.push(seat);
    const costs = createProviderBudgets({
      budgets: { openai: budget },
      accounts: seat.limiter.accounts,
      providers: null,
      zone: () => 'Europe/Berlin',
      wallMs: () => NOON + nowMs,
    });
    return { seat, costs };
  }

  async function share({ seat, costs }: Awaited<ReturnType<typeof process>>): Promise<void> {
    costs.share(seat.shares);
    await seat.share();
  }

  async function held(costs: ProviderBudgets, nanos: bigint): Promise<Hold | null> {
    const arrivedMs = nowMs;
    for (;;) {
      const hold = costs.hold(deployment, nanos, { nowMs, arrivedMs });
      if (!(hold instanceof Promise)) return hold;
      await hold;
    }
  }

  test('all together pay exactly the budget, however many ask at once, and what one gives back the others get', async () => {
    const all = [await process(), await process(), await process()];
    for (const one of all) await share(one);
    const asked = Array.from({ length: 60 }, (_, i) => held(all[i % 3]!.costs, 30n));
    const holds = (await Promise.all(asked)).filter((hold) => hold !== null);
    // 1,000 less the 100 of the ledger; the last one may be in parts.
    expect(holds.length).toBeGreaterThanOrEqual(29);
    expect(holds.length).toBeLessThanOrEqual(30);
    const place = { position: null };
    for (const hold of holds) hold.settle({ admittedMs: NOON + nowMs, nanos: 20n, place });
    let paid = BigInt(holds.length) * 20n;
    for (const [costs, nanos] of [
      [all[2]!.costs, 30n],
      [all[0]!.costs, 1n],
    ] as const) {
      nowMs += 1_000;
      for (; (await held(costs, nanos)) !== null; paid += nanos);
    }
    expect(paid).toBe(900n);
    nowMs += 1_000;
    expect(await held(all[1]!.costs, 1n)).toBeNull();
    expect(all[1]!.costs.hasRoom(deployment, { nowMs, arrivedMs: nowMs - 1 })).toBe(false);
  });

  test('what the only one has paid and held counts when a second one comes', async () => {
    const first = await process();
    const holds = [await held(first.costs, 400n), await held(first.costs, 300n)];
    const place = { position: null };
    holds[0]!.settle({ admittedMs: NOON + nowMs, nanos: 350n, place });
    const second = await process();
    await share(first);
    await share(second);
    expect(await held(second.costs, 251n)).toBeNull();
    nowMs += 1_000;
    expect(await held(second.costs, 250n)).not.toBeNull();
    expect(await held(first.costs, 1n)).toBeNull();
  });
});

describe('budgets of providers in a config file', () => {
  const text = (budget: string) => `
model_list:
  - model_name: a
    litellm_params: { model: openai/gpt-4o, api_base: "http://x" }
  - model_name: b
    litellm_params: { model: gpt-4o, custom_llm_provider: azure, api_base: "http://x" }
  - model_name: c
    litellm_params: { model: mistralai/small, api_base: "http://x" }
  - model_name: d
    litellm_params: { model: own, api_base: "http://x" }
router_settings:
  provider_budget_config: { openai: ${budget} }
`;
  const read = (budget: string, environment = {}) =>
    readLitellmConfig(text(budget), 'f.yaml', environment, undefined);

  test('are read, and a provider is what stands before the model’s name or is named', () => {
    const { routing, deployments, ignored } = read('{ budget_limit: 100.5, time_period: 1d }');
    expect(routing.providerBudgets).toEqual({ openai: { nanos: 100_500_000_000n, window: '1d' } });
    expect(deployments.map(({ provider }) => provider)).toEqual(['openai', 'azure', 'mistralai', undefined]);
    expect(ignored).toEqual([]);
    const fromOutside = read('{ budget_limit: os.environ/LIMIT, time_period: 1mo }', { LIMIT: '7' });
    expect(fromOutside.routing.providerBudgets['openai']!.nanos).toBe(7_000_000_000n);
  });

  test.each([
    ['{ budget_limit: -1, time_period: 1d }', 'openai.budget_limit'],
    ['{ budget_limit: much, time_period: 1d }', 'openai.budget_limit'],
    ['{ budget_limit: 1000000000, time_period: 1d }', 'openai.budget_limit'],
    ['{ time_period: 1d }', 'openai.budget_limit'],
    ['{ budget_limit: 1 }', 'openai.time_period'],
    ['{ budget_limit: 1, time_period: daily }', 'openai.time_period: not a duration'],
    ['{ budget_limit: 1, time_period: 1d, tpm: 3 }', 'openai: Unrecognized key'],
    ['5', 'openai'],
  ])('%s is refused, with the field', (budget, problem) => {
    expect(() => read(budget)).toThrow(`router_settings.provider_budget_config.${problem}`);
  });
});
