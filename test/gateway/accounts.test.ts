import { expect, test } from 'vitest';
import { UNLIMITED } from '../../src/domain/limits.ts';
import { NO_EXTRA } from '../../src/domain/extra-limits.ts';
import { allowanceOf } from '../../src/gateway/allowance.ts';
import type { Level } from '../../src/gateway/levels.ts';
import { createLimiter, type Demand, type Limiter, type LedgerQuestion } from '../../src/gateway/limiter.ts';
import { levelFor, modelLevelsFor } from '../../src/gateway/scope-levels.ts';
import { AT, spendRecorded } from '../support/events.ts';

const NOW = { wallMs: Date.parse(AT), monotonicMs: 1_000_000 };
const MINUTE = 60_000;
const DEMAND: Demand = {
  inputTokens: 1,
  choices: 1,
  namedOutputTokens: 0,
  outputTokensMax: 0,
  otherNanos: 0n,
  prices: { input: 1_000_000n, 'cached-input': 0n, output: 0n },
};
const ALLOWED = allowanceOf(
  { ...UNLIMITED, requestsPerMinute: 5, budget: { nanos: 10n, window: '1d' } },
  NO_EXTRA,
);
const levelOf = ({ accounts }: Limiter, id: string): Level =>
  levelFor(accounts, { name: 'user', id, subject: id, zone: 'Europe/Berlin' }, ALLOWED);

function limiterWith(spentNanos: bigint) {
  const asked: LedgerQuestion[] = [];
  const limiter = createLimiter({
    spentSince: (question) => {
      asked.push(question);
      return Promise.resolve({ nanos: spentNanos, position: 5n });
    },
    flush: () => Promise.resolve(4n),
    budgetStatus: 422,
    onSoftBudget: () => undefined,
    accountsKeptMax: 1,
  });
  return { asked, limiter };
}

const spend = (nanos: bigint, userId: string) => ({
  agencyId: 'age_1',
  tenantId: 'ten_1',
  actor: { kind: 'key', id: 'key_1' } as const,
  correlationId: 'call',
  occurredAt: AT,
  data: { ...spendRecorded({ userId, priceNanos: nanos }).data },
});

test('accounts that nobody uses are thrown away while there are many, and are read again', async () => {
  const { asked, limiter } = limiterWith(3n);
  const level = levelOf(limiter, 'usr_1');
  levelOf(limiter, 'usr_2');
  await limiter.prepare([level], NOW);
  const running = limiter.reserve([level], DEMAND, NOW);
  for (let i = 1; i <= 3; i += 1) limiter.sweep(NOW.monotonicMs + i * 2 * MINUTE);
  // The one with a running request stays, the other one is gone.
  expect([limiter.accounts.size, limiter.accounts.generation]).toEqual([1, 1]);
  expect(levelOf(limiter, 'usr_1').account).toBe(level.account);
  limiter.settle(running, 1, spend(1n, 'usr_1'), { position: 6n });
  levelOf(limiter, 'usr_3');
  for (let i = 4; i <= 6; i += 1) limiter.sweep(NOW.monotonicMs + i * 2 * MINUTE);
  expect(limiter.accounts.size).toBe(1);
  const anew = ['usr_1', 'usr_3'].map((id) => levelOf(limiter, id));
  expect(anew.some(({ account }) => account !== level.account)).toBe(true);
  expect(asked).toMatchObject([
    { level: 'user', id: 'usr_1', since: '2026-11-19T23:00:00.000Z', mustInclude: 4n },
  ]);
});

test('a minute that is in use keeps its account', () => {
  const { limiter } = limiterWith(0n);
  const rates = { ...ALLOWED, budgets: [] };
  const scope = { name: 'user', subject: '', zone: 'Europe/Berlin' } as const;
  const level = levelFor(limiter.accounts, { ...scope, id: 'usr_1' }, rates);
  levelFor(limiter.accounts, { ...scope, id: 'usr_2' }, rates);
  limiter.release(limiter.reserve([level], DEMAND, NOW));
  for (let i = 1; i <= 3; i += 1) limiter.sweep(NOW.monotonicMs + i * 10_000);
  expect(levelFor(limiter.accounts, { ...scope, id: 'usr_1' }, rates).account).toBe(level.account);
});

test('an account that came into being while a request ran learns what it spent', async () => {
  const { limiter } = limiterWith(0n);
  const running = limiter.reserve([], DEMAND, NOW);
  const level = levelOf(limiter, 'usr_1');
  const limits = { requestsPerMinute: null, tokensPerMinute: null, budget: { nanos: 9n, window: null } };
  const [ofModel] = modelLevelsFor(
    limiter.accounts,
    { name: 'key', id: 'key_1', subject: '', zone: 'Europe/Berlin' },
    { ...ALLOWED, byModel: { 'gpt-4o-mini': limits } },
  );
  const levels = [level, ofModel!.level];
  await limiter.prepare(levels, NOW);
  limiter.settle(running, 1, spend(7n, 'usr_1'), { position: 6n });
  expect(levels.map(({ budgets }) => budgets[0]!.owner.meter!.spentNanos)).toEqual([7n, 7n]);
});
