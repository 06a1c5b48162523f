import type { Budget } from '../domain/limits.ts';
import { amountAt } from '../domain/money.ts';
import type { Rates } from '../domain/spend.ts';
import { addSpent, type BudgetMeter, type LedgerSum, meterOf, unreserve } from './budget.ts';
import { budgetRefusal, parallelRefusal, rateRefusal } from './limit-refusals.ts';
import type { Account, Instant, Level, LevelName } from './levels.ts';
import { rateWindow, type Slot } from './rate-window.ts';
import type { SpendPlace } from './spend-writer.ts';

/**
 * Limits of a request on all its levels at once (key, project, tenant): requests and tokens per
 * minute, parallel requests, budgets. The worst case is reserved before the upstream is called and
 * settled afterwards; both happen without a pause in between, so however many requests come at
 * once, what was spent and what may still be spent never exceed a limit together. A refused request
 * changes nothing on any level.
 */
/** What a request may need at most. */
export interface Demand {
  readonly inputTokens: number;
  readonly choices: number;
  /** Per choice, as the client asked; null when it named none and may get fewer. */
  readonly namedOutputTokens: number | null;
  /** Per choice, when the client named none; 0 where nothing is generated. */
  readonly outputTokensMax: number;
  /** What other units may cost. */
  readonly otherNanos: bigint;
  readonly prices: Rates;
}

export interface Reservation {
  readonly levels: readonly Level[];
  readonly admittedMs: number;
  /** Completion tokens per choice that were granted. */
  readonly outputTokens: number;
  readonly tokens: number;
  readonly nanos: bigint;
  /** Where the tokens and the money are reserved, by level; null where that is not limited. */
  readonly slots: readonly (Slot | null)[];
  readonly meters: readonly (BudgetMeter | null)[];
  open: boolean;
}

/** Reads the ledger, once it has the log up to `mustInclude` at least. `since` is an instant, null for ever. */
export type SpentSince = (
  level: LevelName,
  id: string,
  since: string | null,
  mustInclude: bigint,
) => Promise<LedgerSum>;

export interface Limiter {
  account(name: LevelName, id: string): Account;
  /** Null when all that decides is in memory; else wait and ask again. Rejects when the ledger cannot be read. */
  prepare(levels: readonly Level[], now: Instant): Promise<void> | null;
  /** After `prepare` answered null at the same instant. Throws Refusal(budget_exceeded | rate_limited). */
  reserve(levels: readonly Level[], demand: Demand, now: Instant): Reservation;
  /** What was really used, once that is durable. Later calls for the same reservation do nothing. */
  settle(reservation: Reservation, tokens: number, nanos: bigint, place: SpendPlace): void;
  /** Nothing was used. */
  release(reservation: Reservation): void;
}

export interface LimiterOptions {
  readonly spentSince: SpentSince;
  /** Takes what this process has recorded to the log; the highest position of it. */
  readonly flush: () => Promise<bigint>;
  /** HTTP status of a spent budget. */
  readonly budgetStatus: number;
}

export function createLimiter({ spentSince, flush, budgetStatus }: LimiterOptions): Limiter {
  const accounts = new Map<string, Account>();

  function account(name: LevelName, id: string): Account {
    const key = `${name}\n${id}`;
    let found = accounts.get(key);
    if (found === undefined) {
      found = {
        requests: rateWindow(),
        tokens: rateWindow(),
        running: 0,
        meter: null,
        newestStartMs: -Infinity,
        ledger: { load: async (since) => await spentSince(name, id, since, await flush()), flush },
      };
      accounts.set(key, found);
    }
    return found;
  }

  function meterAt(level: Level, budget: Budget, wallMs: number): BudgetMeter {
    return meterOf(level.account, budget, level.zone, wallMs, level.account.ledger);
  }

  function prepare(levels: readonly Level[], now: Instant): Promise<void> | null {
    let wait: Promise<void> | null = null;
    for (const level of levels) {
      const { budget } = level.limits;
      if (budget === null) continue;
      const { loading } = meterAt(level, budget, now.wallMs);
      if (loading !== null)
        wait = wait === null ? loading : Promise.all([wait, loading]).then(() => undefined);
    }
    return wait;
  }

  function reserve(levels: readonly Level[], demand: Demand, now: Instant): Reservation {
    const meters = levels.map((level) => {
      const { budget } = level.limits;
      return budget === null ? null : meterAt(level, budget, now.wallMs);
    });
    const outputTokens = demand.namedOutputTokens ?? affordableOutput(levels, meters, demand);
    const tokens = demand.inputTokens + outputTokens * demand.choices;
    const nanos = worstNanos(demand, outputTokens);
    const free = nanos === 0n && isFree(demand.prices);
    levels.forEach((level, i) => {
      const meter = meters[i] ?? null;
      if (meter !== null) checkBudget(level, meter, nanos, free, budgetStatus, now);
    });
    for (const level of levels) checkRates(level, tokens, now);
    const slots = levels.map((level, i) => {
      const meter = meters[i] ?? null;
      if (meter !== null) meter.reservedNanos += nanos;
      return take(level, tokens, now.monotonicMs);
    });
    return { levels, admittedMs: now.wallMs, outputTokens, tokens, nanos, slots, meters, open: true };
  }

  return { account, prepare, reserve, settle, release: (reservation) => giveBack(reservation, 0) };
}

function settle(reservation: Reservation, tokens: number, nanos: bigint, place: SpendPlace): void {
  if (!reservation.open) return;
  giveBack(reservation, tokens);
  for (const { account } of reservation.levels) addSpent(account, reservation.admittedMs, nanos, place);
}

function giveBack(reservation: Reservation, usedTokens: number): void {
  if (!reservation.open) return;
  reservation.open = false;
  reservation.levels.forEach(({ account }, i) => {
    account.running -= 1;
    const slot = reservation.slots[i] ?? null;
    if (slot !== null) account.tokens.correct(slot, usedTokens - reservation.tokens);
    const meter = reservation.meters[i] ?? null;
    if (meter !== null) unreserve(meter, reservation.nanos);
  });
}

function take({ account, limits }: Level, tokens: number, monotonicMs: number): Slot | null {
  account.running += 1;
  if (limits.requestsPerMinute !== null) account.requests.add(monotonicMs, 1);
  return limits.tokensPerMinute === null ? null : account.tokens.add(monotonicMs, tokens);
}

/** All of the prompt at the dearer of its two prices. */
function worstNanos({ prices, inputTokens, choices, otherNanos }: Demand, outputTokens: number): bigint {
  const inputRate = prices.input > prices['cached-input'] ? prices.input : prices['cached-input'];
  return otherNanos + amountAt(inputRate, inputTokens) + amountAt(prices.output, outputTokens * choices);
}

function isFree(prices: Rates): boolean {
  return prices.input === 0n && prices['cached-input'] === 0n && prices.output === 0n;
}

/**
 * Completion tokens for a request that names no limit: as many as the deployment gives, but not
 * more than a tokens/min limit could ever admit or a budget still pays for, and at least one.
 */
function affordableOutput(
  levels: readonly Level[],
  meters: readonly (BudgetMeter | null)[],
  demand: Demand,
): number {
  const { choices, inputTokens, prices, outputTokensMax } = demand;
  if (outputTokensMax === 0) return 0;
  let tokens = outputTokensMax;
  const inputNanos = worstNanos(demand, 0);
  levels.forEach(({ limits }, i) => {
    if (limits.tokensPerMinute !== null) {
      tokens = Math.min(tokens, Math.floor((limits.tokensPerMinute - inputTokens) / choices));
    }
    const meter = meters[i] ?? null;
    const priceNanos = amountAt(prices.output, 1) * BigInt(choices);
    if (meter === null || limits.budget === null || priceNanos === 0n) return;
    const left = limits.budget.nanos - meter.spentNanos - meter.reservedNanos - inputNanos;
    if (left < priceNanos * BigInt(tokens)) tokens = Number(left / priceNanos);
  });
  return Math.max(tokens, 1);
}

/** A price of zero passes a spent budget; a budget of zero lets nothing through. */
function checkBudget(
  level: Level,
  meter: BudgetMeter,
  nanos: bigint,
  free: boolean,
  status: number,
  now: Instant,
): void {
  if (meter.loadedTo === null) throw new Error('a budget is decided before its ledger was read');
  const cap = level.limits.budget!.nanos;
  if (free ? cap > 0n : meter.spentNanos + meter.reservedNanos + nanos <= cap) return;
  throw budgetRefusal(level, meter, nanos, status, now);
}

function checkRates(level: Level, tokens: number, { monotonicMs, wallMs }: Instant): void {
  const { account, limits } = level;
  const { parallelRequests, requestsPerMinute, tokensPerMinute } = limits;
  if (parallelRequests !== null && account.running >= parallelRequests) {
    throw parallelRefusal(level, parallelRequests);
  }
  if (requestsPerMinute !== null) {
    const waitMs = account.requests.waitMs(monotonicMs, 1, requestsPerMinute);
    if (waitMs !== 0) {
      const left = requestsPerMinute - account.requests.used(monotonicMs);
      throw rateRefusal(level, 'requests', requestsPerMinute, left, 1, waitMs, wallMs);
    }
  }
  if (tokensPerMinute !== null) {
    const waitMs = account.tokens.waitMs(monotonicMs, tokens, tokensPerMinute);
    if (waitMs !== 0) {
      const left = tokensPerMinute - account.tokens.used(monotonicMs);
      throw rateRefusal(level, 'tokens', tokensPerMinute, left, tokens, waitMs, wallMs);
    }
  }
}
