import { afterEach, expect, test } from 'vitest';
import { UNLIMITED } from '../../src/domain/limits.ts';
import type { LevelName } from '../../src/gateway/levels.ts';
import { customerRegistered, projectMemberAdded, userRegistered } from '../support/events.ts';
import { ONE, startWorld, type World } from './harness.ts';

let world: World;
afterEach(() => world.stop());

const REQUESTS = 1_000;
const PAID = 100n;
const budget = (nanos: bigint) => ({ nanos, window: null });

/** Every level but the one whose turn it is has room for a few more, so that each of them decides once. */
const LEVELS: readonly LevelName[] = ['key', 'project', 'tenant', 'end-user'];

test.each(LEVELS)(
  '1,000 requests at once against budgets on four levels, the tightest of a %s for 100, spend exactly that',
  async (tightest) => {
    const capOf = (level: LevelName) => budget(level === tightest ? PAID * ONE : (PAID + 7n) * ONE);
    world = await startWorld({
      limits: { budget: capOf('key') },
      projectLimits: { budget: capOf('project') },
      terms: { tenantLimits: { ...UNLIMITED, budget: capOf('tenant') } },
    });
    world.apply(customerRegistered({ limits: { ...UNLIMITED, budget: capOf('end-user') } }));
    const answers = await Promise.all(
      Array.from({ length: REQUESTS }, async (_, i) => {
        const response = await world.chat({ user: 'cus_1', stream: i % 4 === 0 });
        await response.arrayBuffer();
        return response.status;
      }),
    );
    const served = answers.filter((status) => status === 200).length;
    expect(answers.filter((status) => status === 422)).toHaveLength(REQUESTS - served);
    expect(served).toBeLessThanOrEqual(Number(PAID));
    expect(served).toBeGreaterThanOrEqual(Number(PAID) - 1);
    const spends = await world.spends();
    expect(spends).toHaveLength(served);
    expect(spends.reduce((sum, { priceNanos }) => sum + priceNanos, 0n)).toBeLessThanOrEqual(PAID * ONE);
    expect(world.upstream.stats().requests.answered).toBe(served);
  },
  60_000,
);

test('what is reserved and not used is free again to the last nano, while others compete for it', async () => {
  world = await startWorld({
    settings: { userId: 'usr_1', projectId: 'prj_1' },
    limits: { budget: budget(PAID * ONE) },
  });
  const limits = { requestsPerMinute: null, tokensPerMinute: null, budget: budget(PAID * ONE) };
  world.apply(userRegistered({ limits: UNLIMITED }), projectMemberAdded({ limits }));
  // Worst cases of 19 answers, of which nothing comes: they hold the budget for a while and give all of it back.
  const failing = { max_tokens: 300, metadata: { simulate: 'status:500' } };
  const answers = Array.from({ length: 150 }, async (_, i) => {
    const response = await world.chat(i % 3 === 0 ? {} : failing);
    await response.arrayBuffer();
    return response.status;
  });
  const passed = (await Promise.all(answers)).filter((status) => status === 200).length;
  expect(passed).toBeGreaterThan(0);
  let served = passed;
  for (; (await world.chat()).status === 200; served += 1);
  expect(served).toBe(Number(PAID));
  const spent = (await world.spends()).reduce((sum, { priceNanos }) => sum + priceNanos, 0n);
  expect(spent).toBe(PAID * ONE);
}, 60_000);
