import type { Pool } from 'pg';
import type { Accounts } from './accounts.ts';
import { type BudgetMeter, countsAfter, type LedgerSum, ownNanos, readAgain } from './budget.ts';
import type { LedgerQuestion, SpentSince } from './ledger-question.ts';
import {
  type Account,
  type AccountShares,
  capAt,
  type Instant,
  type Level,
  type LevelName,
} from './levels.ts';
import type { RateWindow } from './rate-window.ts';
import { agreeOnBase, type Base, readBase } from './share-bases.ts';
import type { Share, Shares } from './shares.ts';

/**
 * The limits of a process that is not alone: every account and every budget has a share (shares.ts), and
 * a request that needs more than is granted here waits until more was asked for.
 */
export interface Sharing {
  readonly shares: Shares;
  readonly pool: Pool;
  /** With what the ids of this process's requests begin. */
  readonly tag: string;
  /** Tells the other processes something that their gateways understand. */
  readonly tell?: (news: string) => void;
}

/** What a request takes of every level. */
export interface Needs {
  readonly tokens: number;
  readonly nanos: bigint;
  /** Nothing costs anything. */
  readonly free: boolean;
  /** The budgets of the levels, in order. */
  readonly meters: readonly BudgetMeter[];
}

/**
 * Null when there is no sense in waiting: all is granted, or refused for sure. Else resolves when it is to
 * be tried again; rejects when the database does not answer.
 */
export function waitForShares(
  { shares }: Sharing,
  levels: readonly Level[],
  { tokens, nanos, free, meters }: Needs,
  now: Instant,
  arrivedMs: number,
): Promise<void> | null {
  const waits: Promise<void>[] = [];
  let counts = false;
  let next = 0;

  function want(share: Share, inUse: bigint, amount: bigint, cap: bigint): void {
    // What does not fit into the whole limit will not fit into a part of it.
    if (inUse + amount > cap) return;
    const left = share.granted - inUse - amount;
    if (left < 0n) {
      if (!shares.isDry(share, arrivedMs, now.monotonicMs)) waits.push(shares.need(share, amount, cap));
    } else if (left < share.lowWater) shares.fetch(share, cap);
  }

  for (const level of levels) {
    for (const cap of level.budgets) {
      const meter = meters[next++]!;
      if (free) continue;
      if (meter.share === null) waits.push(readAgain(meter, level.account.ledger));
      else want(meter.share, ownNanos(meter), nanos, capAt(cap, now.wallMs) - meter.byHandNanos);
    }
    const { account, limits } = level;
    const { requestsPerMinute, tokensPerMinute, parallelRequests } = limits;
    if (requestsPerMinute === null && tokensPerMinute === null && parallelRequests === null) continue;
    counts = true;
    const own = (account.shares ??= accountShares(shares, account));
    const use = (share: Share, amount: number, limit: number | null) => {
      if (limit !== null) want(share, share.use.inUse(), BigInt(amount), BigInt(limit));
    };
    use(own.requests, 1, requestsPerMinute);
    use(own.tokens, tokens, tokensPerMinute);
    use(own.running, 1, parallelRequests);
  }
  // What does not outlive this process may be somebody else's already.
  if (counts && !shares.isTrusted(now.monotonicMs)) return shares.trusted();
  if (waits.length === 0) return null;
  return waits.length === 1 ? waits[0]! : Promise.all(waits).then(() => undefined);
}

function accountShares(shares: Shares, account: Account): AccountShares {
  const { scope, requests, tokens } = account;
  const rate = (kind: 'r' | 't', window: RateWindow) =>
    shares.open(meterName(kind, scope), {
      inUse: () => BigInt(Math.max(window.used(shares.nowMs()), 0)),
      freesInMs() {
        const nowMs = shares.nowMs();
        return window.waitMs(nowMs, 1, window.used(nowMs));
      },
    });
  return {
    requests: rate('r', requests),
    tokens: rate('t', tokens),
    running: shares.open(meterName('p', scope), {
      inUse: () => BigInt(account.running),
      freesInMs: () => null,
    }),
  };
}

/** What makes a budget another one: its level, what the ledger counts of it, and until when. */
type BudgetPlace = readonly [
  level: LevelName,
  id: string,
  model: string | null,
  since: string | null,
  after: string | null,
  endsAt: string | null,
  duration: string | null,
  zone: string,
];

function meterName(kind: 'b' | 'r' | 't' | 'p', place: readonly (string | null)[]): string {
  return kind + JSON.stringify(place);
}

function budgetName(scope: Account['scope'], meter: BudgetMeter, after: bigint | null): string {
  const { startsAt, endsAt } = meter.window;
  const from = after === null ? null : String(after);
  const place: BudgetPlace = [...scope, startsAt, from, endsAt, meter.duration, meter.zone];
  return meterName('b', meter.goesOn ? [...place, 'goes on'] : place);
}

function openBudget(shares: Shares, name: string, meter: BudgetMeter): Share {
  return shares.open(name, { inUse: () => ownNanos(meter), freesInMs: () => null });
}

/**
 * What a budget has spent: what all processes agreed on when the first of them looked, and beyond that
 * what this one has in the ledger itself.
 */
export async function loadShared(
  { shares, pool, tag }: Sharing,
  spentSince: SpentSince,
  question: LedgerQuestion,
  meter: BudgetMeter,
): Promise<LedgerSum> {
  const { level, id, model } = question;
  const name = budgetName([level, id, model], meter, question.after);
  let base = await readBase(pool, name);
  if (base === null) {
    const sum = await spentSince(question);
    base = await agreeOnBase(pool, { meter: name, ...sum, endsAt: meter.window.endsAt });
  }
  const after = question.after !== null && question.after > base.position ? question.after : base.position;
  const own = await spentSince({ ...question, after, tag });
  const share = openBudget(shares, name, meter);
  return { nanos: base.nanos + own.nanos, position: own.position, baseNanos: base.nanos, share };
}

/** From here on others keep the same limits: writes down what is used here by now. */
export async function beginSharing({ shares }: Sharing, accounts: Accounts, nowMs: number): Promise<void> {
  const bases: Base[] = [];
  for (const account of accounts.all()) {
    const isUsed = account.running > 0 || account.requests.used(nowMs) > 0 || account.tokens.used(nowMs) > 0;
    if (isUsed) account.shares ??= accountShares(shares, account);
    for (const { meter } of account.owners) {
      if (meter === null || meter.loadedTo === null || meter.share !== null) continue;
      const { byHandNanos, baseNanos, loadedTo, window } = meter;
      const name = budgetName(account.scope, meter, countsAfter(meter));
      bases.push({ meter: name, nanos: baseNanos - byHandNanos, position: loadedTo, endsAt: window.endsAt });
      meter.share = openBudget(shares, name, meter);
    }
  }
  await shares.publish(bases);
}

export function closeShares(shares: Shares, account: Account): void {
  if (account.shares !== null)
    for (const share of Object.values(account.shares)) shares.close(share as Share);
  account.shares = null;
  for (const { meter } of account.owners) closeBudget(shares, meter);
}

export function closeBudget(shares: Shares, meter: BudgetMeter | null): void {
  if (meter === null || meter.share === null) return;
  shares.close(meter.share);
  meter.share = null;
}

/**
 * Puts what a process that is gone has really spent in the place of what it had promised. All of it must
 * be in the log up to `drainedTo`.
 */
export async function settleGone(
  pool: Pool,
  spentSince: SpentSince,
  { id: holder, tag, drainedTo }: { readonly id: string; readonly tag: string; readonly drainedTo: bigint },
): Promise<void> {
  const { rows } = await pool.query<{ meter: string; position: string | bigint }>(
    `select s.meter, b.position from limit_shares s join limit_bases b on b.meter = s.meter
     where s.holder = $1 and (b.ends_at is null or b.ends_at > clock_timestamp())`,
    [holder],
  );
  for (const { meter, position } of rows) {
    const [level, placeId, model, since, after] = JSON.parse(meter.slice(1)) as BudgetPlace;
    const from = after !== null && BigInt(after) > BigInt(position) ? BigInt(after) : BigInt(position);
    const question = { level, id: placeId, model, since, after: from, mustInclude: drainedTo, tag };
    const { nanos } = await spentSince(question);
    await pool.query(
      `with settled as (update limit_shares set granted = $3, turn = turn + 1, recalled = false
                        where meter = $1 and holder = $2 returning meter)
       select pg_notify('limit_shares', '+' || meter) from settled`,
      [meter, holder, String(nanos)],
    );
  }
}
