import { afterEach, describe, expect, test } from 'vitest';
import { type KeyExtra, NO_KEY_EXTRA } from '../../src/domain/extra-limits.ts';
import { type Limits, UNLIMITED } from '../../src/domain/limits.ts';
import type { LedgerQuestion } from '../../src/gateway/limiter.ts';
import { keyChanged, keySettings, keySpendAdjusted, projectChanged } from '../support/events.ts';
import { NO_PROJECT_SETTINGS } from '../../src/domain/project.ts';
import { errorOf, ONE, startWorld, until, type World, type WorldOptions } from './harness.ts';

let world: World;
afterEach(() => world.stop());

const HOUR = 3_600_000;
const budget = (count: bigint, window: string | null = null) => ({ nanos: count * ONE, window });
const NO_MODEL_LIMITS = { requestsPerMinute: null, tokensPerMinute: null, budget: null };
const now = { ms: 1_000_000 };
const wallStart = Date.parse('2026-11-20T10:00:00.000Z') - 1_000_000;
const clock = { monotonicMs: () => now.ms, wallMs: () => wallStart + now.ms };

async function start(
  extra: Partial<KeyExtra>,
  limits: Partial<Limits> = {},
  options: WorldOptions = {},
): Promise<void> {
  now.ms = 1_000_000;
  const settings = { extra: { ...NO_KEY_EXTRA, ...extra }, ...options.settings };
  world = await startWorld({ ...options, limits, settings, deps: { ...clock, ...options.deps } });
}

async function statuses(count: number, body: object = {}): Promise<number[]> {
  const responses = await Promise.all(Array.from({ length: count }, () => world.chat(body)));
  return responses.map(({ status }) => status).toSorted((a, b) => a - b);
}

async function refusalOf(body: object = {}): Promise<ReturnType<typeof errorOf>> {
  return errorOf(await (await world.chat(body)).json());
}

describe('several budgets of a key', () => {
  test('hold together, and a window that opens again leaves the others as they are', async () => {
    await start({ budgets: [budget(2n, '1h'), budget(5n, '1d')] }, { budget: budget(100n) });
    expect(await statuses(3)).toEqual([200, 200, 422]);
    const refused = await refusalOf();
    expect(refused.message).toContain('over 1h budget.');
    expect(refused.detail).toMatchObject({ window: '1h', resetsAt: '2026-11-20T11:00:00.000Z' });
    now.ms += HOUR;
    expect(await statuses(3)).toEqual([200, 200, 422]);
    now.ms += HOUR;
    expect(await statuses(3)).toEqual([200, 422, 422]);
    expect((await refusalOf()).detail).toMatchObject({ window: '1d', spent: '0.00000024' });
  });

  test('with one window are the smaller one', async () => {
    await start({ budgets: [budget(1n, '1d')] }, { budget: budget(3n, '1d') });
    expect(await statuses(2)).toEqual([200, 422]);
  });
});

test('a temporary increase raises the budget until its end', async () => {
  const temporary = { nanos: 2n * ONE, until: '2026-11-20T10:30:00.000Z' };
  await start({ temporary }, { budget: budget(1n) });
  expect(await statuses(4)).toEqual([200, 200, 200, 422]);
  expect((await refusalOf()).detail).toMatchObject({ limit: '0.000000144' });
  now.ms += HOUR;
  expect((await refusalOf()).detail).toMatchObject({ limit: '0.000000048', spent: '0.000000144' });
});

test('a soft budget warns once and refuses nothing, though the ledger cannot be read at first', async () => {
  let fails = true;
  await start(
    { softBudgetNanos: 2n * ONE },
    {},
    {
      deps: {
        spentSince: () =>
          fails ? Promise.reject(new Error('no database')) : Promise.resolve({ nanos: ONE, position: 0n }),
      },
    },
  );
  expect(await statuses(1)).toEqual([200]);
  fails = false;
  expect(await statuses(1)).toEqual([200]);
  expect(await statuses(1)).toEqual([200]);
  expect(await statuses(2)).toEqual([200, 200]);
  expect(world.gateway.softBudgetsReached()).toBe(1);
  const warned = world.logged.filter(({ message }) => message === 'a soft budget is reached');
  expect(warned).toMatchObject([{ level: 'warn', facts: { level: 'api_key', id: 'key_1' } }]);
});

describe('limits of a model', () => {
  test('are exact for that model and nothing to the others', async () => {
    const byModel = { 'demo-small': { ...NO_MODEL_LIMITS, budget: budget(2n, '1d'), requestsPerMinute: 3 } };
    await start(
      { byModel },
      {},
      {
        deployments: (base) => [base, { ...base, publicName: 'demo-free', upstreamModel: 'demo-small' }],
      },
    );
    const first = await world.chat();
    expect(first.headers.get('x-ratelimit-model_per_key-remaining-requests')).toBe('2');
    expect(await statuses(2)).toEqual([200, 422]);
    const refused = await refusalOf();
    expect(refused.message).toContain('exceeded budget for model=demo-small');
    expect(refused.detail).toMatchObject({ level: 'model_per_key', id: 'key_1:demo-small' });
    expect(await statuses(4, { model: 'demo-free' })).toEqual([200, 200, 200, 200]);
  });

  test('written for an alias or a wildcard are those of what serves it', async () => {
    await start(
      {
        byModel: {
          fast: { ...NO_MODEL_LIMITS, requestsPerMinute: 1 },
          '*': { ...NO_MODEL_LIMITS, requestsPerMinute: 2 },
        },
      },
      {},
      {
        settings: { aliases: { fast: 'demo-small' } },
        deployments: (base) => [base, { ...base, publicName: 'demo-free', upstreamModel: 'demo-small' }],
      },
    );
    expect(await statuses(1, { model: 'fast' })).toEqual([200]);
    expect((await refusalOf()).detail).toMatchObject({ id: 'key_1:demo-small', kind: 'requests' });
    expect(await statuses(2, { model: 'demo-free' })).toEqual([200, 429]);
    expect((await refusalOf({ model: 'demo-free' })).detail).toMatchObject({ id: 'key_1:*' });
  });

  test('of a project hold for all its keys, and its aliases lead to what its list names', async () => {
    await start({}, {}, { projectLimits: {} });
    const byModel = { 'demo-small': { ...NO_MODEL_LIMITS, requestsPerMinute: 1 } };
    world.apply(
      projectChanged({
        limits: { ...UNLIMITED, models: ['house-model'] },
        settings: {
          ...NO_PROJECT_SETTINGS,
          extra: { softBudgetNanos: null, budgets: [], byModel },
          options: { model_aliases: { 'house-model': 'demo-small' } },
        },
      }),
    );
    expect((await refusalOf()).reason).toBe('project_model_not_allowed');
    expect(await statuses(2, { model: 'house-model' })).toEqual([200, 429]);
    expect((await refusalOf({ model: 'house-model' })).detail).toMatchObject({ level: 'model_per_team' });
    expect(await world.spends()).toMatchObject([{ model: 'demo-small' }]);
  });
});

describe('spend that was set by hand', () => {
  const asked: LedgerQuestion[] = [];
  const ledger: WorldOptions = {
    deps: {
      spentSince: (question) => {
        asked.push(question);
        return Promise.resolve({ nanos: question.after === null ? 5n * ONE : 0n, position: 99n });
      },
    },
  };

  test('counts for a budget without windows at once', async () => {
    asked.length = 0;
    await start({}, { budget: budget(5n) }, ledger);
    expect(await statuses(1)).toEqual([422]);
    world.apply(keySpendAdjusted({ byNanos: -2n * ONE, fromNanos: 5n * ONE, toNanos: 3n * ONE }));
    expect(await statuses(3)).toEqual([200, 200, 422]);
    expect(asked.map(({ since, after }) => [since, after])).toEqual([
      [null, null],
      [null, null],
    ]);
  });

  test('begins the window in which it was set, from its place in the log on', async () => {
    asked.length = 0;
    await start({}, { budget: budget(5n, '1h') }, ledger);
    expect(await statuses(1)).toEqual([422]);
    world.apply(keySpendAdjusted({ byNanos: -40n * ONE, fromNanos: 41n * ONE, toNanos: ONE }));
    expect(await statuses(5)).toEqual([200, 200, 200, 200, 422]);
    const { after, mustInclude } = asked.at(-1)!;
    expect(after).toBe(mustInclude);
    expect(after).toBeGreaterThan(0n);
    now.ms += HOUR;
    expect(await statuses(6)).toEqual([200, 200, 200, 200, 200, 422]);
  });
});

test('parameters that a key enforces must be in every request, also inside of others', async () => {
  await start({ enforcedParams: ['user', 'metadata.customer'] });
  expect(await refusalOf()).toMatchObject({ code: '400', param: 'user', reason: 'missing_parameter' });
  expect(await refusalOf({ user: 'u' })).toMatchObject({ param: 'metadata' });
  expect((await refusalOf({ user: 'u', metadata: { customer: null } })).message).toContain(
    'param=metadata.customer',
  );
  expect(await statuses(1, { user: 'u', metadata: { customer: 'c' } })).toEqual([200]);
  world.apply(keyChanged({ settings: keySettings({ extra: NO_KEY_EXTRA }) }));
  expect(await statuses(1)).toEqual([200]);
  await until(() => world.gateway.inFlight() === 0);
});
