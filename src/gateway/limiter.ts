import { amountAt } from '../domain/money.ts';
import type { Rates } from '../domain/spend.ts';
import { type Accounts, createAccounts } from './accounts.ts';
import { addSpent, type BudgetMeter, meterOf, ownNanos, unreserve } from './budget.ts';
import type { SpentSince } from './ledger-question.ts';
import { budgetRefusal, parallelRefusal, rateRefusal } from './limit-refusals.ts';
import { type BudgetCap, capAt, type Instant, type Level, type SoftBudget } from './levels.ts';
import { type RateWindow, type Slot, WINDOW_MS } from './rate-window.ts';
import {
  beginSharing,
  closeBudget,
  closeShares,
  loadShared,
  type Needs,
  type Sharing,
  waitForShares,
} from './shared-limits.ts';
import type { Share } from './shares.ts';
import type { SpendPlace } from './spend-writer.ts';
import type { SpendToRecord } from './spool-records.ts';

/**
 * Limits of a request on all its levels at once: requests and tokens per minute, parallel requests,
 * budgets. The worst case is reserved before the upstream is called and settled afterwards; both
 * happen without a pause in between, so however many requests come at once, what was spent and what
 * may still be spent never exceed a limit together. A refused request changes nothing on any level.
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
  /** Where the tokens are reserved, by level; null where they are not limited. */
  readonly slots: readonly (Slot | null)[];
  /** Where the money is reserved: of every budget of every level, in order. */
  readonly meters: readonly BudgetMeter[];
  /** How many accounts there had ever been when it was made. */
  readonly accountsMade: number;
  open: boolean;
}

export type { LedgerQuestion, SpentSince } from './ledger-question.ts';

export interface Limiter {
  readonly accounts: Accounts;
  /** Null when all that decides is in memory; else wait and ask again. Rejects when the ledger cannot be read. */
  prepare(levels: readonly Level[], now: Instant): Promise<void> | null;
  /**
   * After `prepare` answered null: null when this process can decide; else wait and ask again. Rejects when
   * the others cannot be asked. Always null for a process that is alone.
   */
  lack(levels: readonly Level[], demand: Demand, now: Instant, arrivedMs: number): Promise<void> | null;
  /** After `prepare` and `lack` answered null at the same instant. Throws Refusal(budget_exceeded | rate_limited). */
  reserve(levels: readonly Level[], demand: Demand, now: Instant): Reservation;
  /** What was really used, once that is durable. Later calls for the same reservation do nothing. */
  settle(reservation: Reservation, tokens: number, spend: SpendToRecord, place: SpendPlace): void;
  /** Nothing was used. */
  release(reservation: Reservation): void;
  /** Others keep the same limits from now on. Resolves when what is used here is known to them; may be repeated. */
  share(sharing: Sharing): Promise<void>;
  /** To be called now and then: accounts that nobody uses are thrown away when there are many. */
  sweep(monotonicMs: number): void;
}

export interface LimiterOptions {
  readonly spentSince: SpentSince;
  /** Takes what this process has recorded to the log; the highest position of it. */
  readonly flush: () => Promise<bigint>;
  /** HTTP status of a spent budget. */
  readonly budgetStatus: number;
  /** A soft budget was reached, told once per level and window. */
  readonly onSoftBudget: (level: Level, spentNanos: bigint) => void;
  readonly accountsKeptMax?: number;
}

const ACCOUNTS_KEPT_MAX = 20_000;
const NO_METERS: readonly BudgetMeter[] = [];

export function createLimiter(options: LimiterOptions): Limiter {
  const { spentSince, flush, budgetStatus, onSoftBudget, accountsKeptMax = ACCOUNTS_KEPT_MAX } = options;
  let sharing: Sharing | null = null;
  const accounts = createAccounts(
    (level, id, model) => ({
      async load(since, after, meter) {
        const flushed = await flush();
        const mustInclude = after !== null && after > flushed ? after : flushed;
        const question = { level, id, model, since, after, mustInclude };
        if (sharing === null) return await spentSince(question);
        return await loadShared(sharing, spentSince, question, meter);
      },
      flush,
      isShared: () => sharing !== null,
      replaced: (meter) => sharing !== null && closeBudget(sharing.shares, meter),
    }),
    (account) => sharing !== null && closeShares(sharing.shares, account),
  );

  function prepare(levels: readonly Level[], now: Instant): Promise<void> | null {
    let wait: Promise<void> | null = null;
    for (const level of levels) {
      for (const cap of level.budgets) {
        const { loading } = meterAt(level, cap, now.wallMs);
        if (loading !== null)
          wait = wait === null ? loading : Promise.all([wait, loading]).then(() => undefined);
      }
    }
    return wait;
  }

  function lack(
    levels: readonly Level[],
    demand: Demand,
    now: Instant,
    arrivedMs: number,
  ): Promise<void> | null {
    if (sharing === null) return null;
    const needs = needsOf(levels, demand, now);
    return waitForShares(sharing, withBeyond(levels, needs, now.wallMs), needs, now, arrivedMs);
  }

  function reserve(asked: readonly Level[], demand: Demand, now: Instant): Reservation {
    const needs = needsOf(asked, demand, now);
    const { meters, outputTokens, tokens, nanos, free } = needs;
    let next = 0;
    for (const level of asked) {
      for (const cap of level.budgets)
        checkBudget(level, cap, meters[next++]!, nanos, free, budgetStatus, now);
    }
    const levels = withBeyond(asked, needs, now.wallMs);
    for (const level of levels) checkRates(level, tokens, now);
    const slots: (Slot | null)[] = [];
    for (const level of levels) slots.push(take(level, tokens, now));
    for (const meter of meters) meter.reservedNanos += nanos;
    const admittedMs = now.wallMs;
    const accountsMade = accounts.made;
    return { levels, admittedMs, outputTokens, tokens, nanos, slots, meters, accountsMade, open: true };
  }

  function settle(reservation: Reservation, tokens: number, spend: SpendToRecord, place: SpendPlace): void {
    if (!reservation.open) return;
    giveBack(reservation, tokens);
    const { levels, admittedMs, accountsMade } = reservation;
    const nanos = spend.data.priceNanos;
    for (const level of levels) {
      for (const owner of level.account.owners) {
        addSpent(owner, admittedMs, nanos, place);
        if (sharing !== null) reportOveruse(sharing, owner.meter);
      }
      if (level.soft !== null) watchSoft(level, level.soft);
    }
    if (accountsMade === accounts.made) return;
    for (const account of accounts.concerned(spend)) {
      if (levels.some((level) => level.account === account)) continue;
      for (const owner of account.owners) {
        addSpent(owner, admittedMs, nanos, place);
        if (sharing !== null) reportOveruse(sharing, owner.meter);
      }
    }
  }

  async function share(begun: Sharing): Promise<void> {
    sharing = begun;
    await beginSharing(begun, accounts, begun.shares.nowMs());
  }

  function watchSoft(level: Level, { nanos, owner: { meter } }: SoftBudget): void {
    if (meter === null || meter.warned || meter.loadedTo === null || meter.spentNanos < nanos) return;
    meter.warned = true;
    onSoftBudget(level, meter.spentNanos);
  }

  return {
    accounts,
    prepare,
    lack,
    reserve,
    settle,
    release: (reservation) => giveBack(reservation, 0),
    share,
    sweep: (monotonicMs) => accounts.sweep(monotonicMs, accountsKeptMax),
  };
}

function needsOf(
  levels: readonly Level[],
  demand: Demand,
  { wallMs }: Instant,
): Needs & { readonly outputTokens: number } {
  const meters = metersOf(levels, wallMs);
  const outputTokens = demand.namedOutputTokens ?? affordableOutput(levels, meters, demand, wallMs);
  const tokens = demand.inputTokens + outputTokens * demand.choices;
  const nanos = worstNanos(demand, outputTokens);
  return { meters, outputTokens, tokens, nanos, free: nanos === 0n && isFree(demand.prices) };
}

/** Of prompt and answers together, whatever budgets may still cut off. */
export function mostTokens(demand: Demand): number {
  return demand.inputTokens + mostOutput(demand);
}

/** Of all answers. */
export function mostOutput({ choices, namedOutputTokens, outputTokensMax }: Demand): number {
  return (namedOutputTokens ?? outputTokensMax) * choices;
}

/** More was used than reserved, or without a reservation: the others have to know. */
function reportOveruse({ shares }: Sharing, meter: BudgetMeter | null): void {
  if (meter !== null && meter.share !== null && ownNanos(meter) > meter.share.granted)
    shares.report(meter.share);
}

function meterAt(level: Level, budget: Pick<BudgetCap, 'window' | 'owner'>, wallMs: number): BudgetMeter {
  return meterOf(budget.owner, budget, level.zone, wallMs, level.account.ledger, level.correction);
}

function metersOf(levels: readonly Level[], wallMs: number): readonly BudgetMeter[] {
  let meters: BudgetMeter[] | null = null;
  for (const level of levels) {
    for (const cap of level.budgets) (meters ??= []).push(meterAt(level, cap, wallMs));
  }
  return meters ?? NO_METERS;
}

function giveBack(reservation: Reservation, usedTokens: number): void {
  if (!reservation.open) return;
  reservation.open = false;
  const { levels, slots, meters, tokens, nanos } = reservation;
  for (let i = 0; i < levels.length; i += 1) {
    const { account } = levels[i]!;
    account.running -= 1;
    const slot = slots[i]!;
    if (slot !== null) account.tokens.correct(slot, usedTokens - tokens);
  }
  for (const meter of meters) unreserve(meter, nanos);
}

function take(level: Level, tokens: number, { monotonicMs, wallMs }: Instant): Slot | null {
  const { account, limits, soft } = level;
  account.running += 1;
  account.quietSweeps = 0;
  // From here on it is counted; nothing waits for what was spent before.
  if (soft !== null) meterAt(level, soft, wallMs);
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
  meters: readonly BudgetMeter[],
  demand: Demand,
  wallMs: number,
): number {
  const { choices, inputTokens, prices, outputTokensMax } = demand;
  if (outputTokensMax === 0) return 0;
  let tokens = outputTokensMax;
  const inputNanos = worstNanos(demand, 0);
  const priceNanos = amountAt(prices.output, 1) * BigInt(choices);
  let next = 0;
  for (const { limits, budgets } of levels) {
    if (limits.tokensPerMinute !== null) {
      tokens = Math.min(tokens, Math.floor((limits.tokensPerMinute - inputTokens) / choices));
    }
    for (const cap of budgets) {
      const meter = meters[next++]!;
      if (priceNanos === 0n) continue;
      const others = meter.share === null ? 0n : meter.share.others;
      const left = capAt(cap, wallMs) - meter.spentNanos - meter.reservedNanos - others - inputNanos;
      if (left >= priceNanos * BigInt(tokens)) continue;
      if (cap.beyond === undefined) tokens = Number(left / priceNanos);
      else if (cap.beyond.limits.tokensPerMinute !== null) {
        const slow = Math.floor((cap.beyond.limits.tokensPerMinute - inputTokens) / choices);
        tokens = Math.min(tokens, slow);
      }
    }
  }
  return Math.max(tokens, 1);
}

/** A price of zero passes a spent budget; a budget of zero lets nothing through. */
function checkBudget(
  level: Level,
  cap: BudgetCap,
  meter: BudgetMeter,
  nanos: bigint,
  free: boolean,
  status: number,
  now: Instant,
): void {
  if (meter.loadedTo === null) throw new Error('a budget is decided before its ledger was read');
  if (cap.beyond !== undefined) return;
  const limit = capAt(cap, now.wallMs);
  const { share } = meter;
  if (free ? limit > 0n : fitsInto(meter, limit, nanos)) return;
  const seen = share === null ? meter : { ...meter, spentNanos: meter.spentNanos + share.others };
  throw budgetRefusal({ level, cap, limit, meter: seen, neededNanos: nanos }, status, now);
}

function fitsInto(meter: BudgetMeter, limit: bigint, nanos: bigint): boolean {
  const { share } = meter;
  if (meter.spentNanos + meter.reservedNanos + nanos > limit) return false;
  return share === null || ownNanos(meter) + nanos <= share.granted;
}

/** With the levels of those budgets that a request does not fit into and that let it go on beyond them. */
function withBeyond(levels: readonly Level[], { meters, nanos }: Needs, wallMs: number): readonly Level[] {
  let all: Level[] | null = null;
  let next = 0;
  for (const { budgets } of levels) {
    for (const cap of budgets) {
      const meter = meters[next++]!;
      if (cap.beyond === undefined || fitsInto(meter, capAt(cap, wallMs), nanos)) continue;
      (all ??= [...levels]).push(cap.beyond);
    }
  }
  return all ?? levels;
}

function checkRates(level: Level, tokens: number, now: Instant): void {
  const { account, limits } = level;
  const { parallelRequests, requestsPerMinute, tokensPerMinute } = limits;
  const { shares } = account;
  if (parallelRequests !== null && account.running >= allowed(parallelRequests, shares?.running)) {
    throw parallelRefusal(level, parallelRequests);
  }
  if (requestsPerMinute !== null) {
    checkRate(level, 'requests', account.requests, 1, requestsPerMinute, shares?.requests, now);
  }
  if (tokensPerMinute !== null) {
    checkRate(level, 'tokens', account.tokens, tokens, tokensPerMinute, shares?.tokens, now);
  }
}

function checkRate(
  level: Level,
  kind: 'requests' | 'tokens',
  window: RateWindow,
  amount: number,
  limit: number,
  share: Share | undefined,
  { monotonicMs, wallMs }: Instant,
): void {
  const waitMs = window.waitMs(monotonicMs, amount, allowed(limit, share));
  if (waitMs === 0) return;
  const left = limit - window.used(monotonicMs) - (share === undefined ? 0 : Number(share.others));
  const wait = share === undefined || amount > limit ? waitMs : waitWith(waitMs, share, monotonicMs);
  throw rateRefusal(level, kind, limit, left, amount, wait, wallMs);
}

/** How much of a limit is this process's to admit. */
function allowed(limit: number, share: Share | undefined): number {
  return share === undefined ? limit : Math.min(limit, Number(share.granted));
}

/** What is free again first, here or with somebody else; a window's length when nobody knows. */
function waitWith(ownMs: number | null, { othersFreeAtMs }: Share, nowMs: number): number {
  const othersMs = othersFreeAtMs === null ? Infinity : Math.max(othersFreeAtMs - nowMs, 1);
  return Math.min(ownMs ?? Infinity, othersMs, WINDOW_MS);
}
