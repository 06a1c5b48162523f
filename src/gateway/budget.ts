import { budgetWindow } from '../domain/duration.ts';
import type { Budget } from '../domain/limits.ts';
import type { Share } from './shares.ts';
import type { SpendPlace } from './spend-writer.ts';

/**
 * What one key, project or tenant has spent in the current window of its budget, and what its
 * running requests may still spend. What was spent before this process looked comes from the
 * ledger, once per window; what this process spends is added as it becomes durable. Both overlap:
 * what becomes durable while the ledger is read may be in its sum or not. The ledger says up to which
 * position of the log it had read, so such a spend is kept until its place in the log is known, and
 * counts only beyond that.
 *
 * Where spend was set by hand, the ledger counts from that place in the log on. A window that follows
 * another in this process starts from nothing: spend belongs to the window in which its request was
 * admitted, and all of those requests are still running or were ours.
 */
export interface BudgetMeter {
  readonly window: Span;
  /** As in the budget's configuration; another one means another meter. */
  readonly duration: string | null;
  /** Its budget goes on beyond its amount, beside another one that may have the same window. */
  readonly goesOn: boolean;
  readonly zone: string;
  /** What was set by hand before the ledger was read. */
  readonly correction: Correction | null;
  spentNanos: bigint;
  /** Worst cases of the requests that are running. */
  reservedNanos: bigint;
  /** The ledger was read up to here; null while it is being read. */
  loadedTo: bigint | null;
  /** Set while the ledger is being read. */
  loading: Promise<void> | null;
  /** Spend that became durable while the ledger was being read. */
  early: Spent[];
  /** The meter that took its place when the budget's window was changed; reservations moved there. */
  successor: BudgetMeter | null;
  /** Something was spent after this window that no meter counted, because no budget was in force. */
  missed: boolean;
  /** It was told that the soft budget is reached. */
  warned: boolean;
  /** What of `spentNanos` came from the ledger or was set by hand; the rest is this process's own. */
  baseNanos: bigint;
  /** What of that was set by hand. */
  byHandNanos: bigint;
  /** This process's part of the budget, when others keep it, too. */
  share: Share | null;
}

/** Spend that was set by hand. */
export interface Correction {
  /** Place in the log: what comes later is added. */
  readonly position: bigint;
  readonly atMs: number;
  /** What it was set to. */
  readonly toNanos: bigint;
  /** All corrections so far, to be added to what was ever recorded. */
  readonly sumNanos: bigint;
}

/** Half open. */
export interface Span {
  readonly startMs: number;
  readonly endMs: number;
  /** ISO instants; null for a budget without windows. */
  readonly startsAt: string | null;
  readonly endsAt: string | null;
}

interface Spent {
  readonly place: SpendPlace;
  readonly nanos: bigint;
}

/** How the ledger is read. */
export interface LedgerReader {
  /**
   * What was spent since an instant (null: ever) and beyond a position of the log (null: all of it),
   * all that this process has recorded so far included.
   */
  load(since: string | null, after: bigint | null, meter: BudgetMeter): Promise<LedgerSum>;
  /** Resolves once all that this process has recorded so far has its place in the log. */
  flush(): Promise<unknown>;
  /** Whether other processes keep the same budgets; left out where there are none. */
  readonly isShared?: () => boolean;
  /** A meter is in the place of this one. */
  readonly replaced?: (meter: BudgetMeter) => void;
}

/** What was spent from an instant on (null: ever), and up to which position of the log that is known. */
export interface LedgerSum {
  readonly nanos: bigint;
  readonly position: bigint;
  /** What of `nanos` is not in this process's share; all of it where nothing is shared. */
  readonly baseNanos?: bigint;
  readonly share?: Share;
}

const FOR_EVER: Span = { startMs: -Infinity, endMs: Infinity, startsAt: null, endsAt: null };

export interface BudgetOwner {
  meter: BudgetMeter | null;
  /** Start of the latest window there ever was; only what begins later begins from nothing. */
  newestStartMs: number;
}

/**
 * The owner's meter for this budget and instant, which may have to be loaded still: then `loading`
 * is set, and whoever needs it waits and asks again. `load` reads the ledger.
 */
export function meterOf(
  owner: BudgetOwner,
  budget: Pick<Budget, 'window'> & { readonly beyond?: unknown },
  zone: string,
  nowMs: number,
  ledger: LedgerReader,
  correction: Correction | null = null,
): BudgetMeter {
  const { meter } = owner;
  const goesOn = budget.beyond !== undefined;
  const sameConfig =
    meter !== null &&
    meter.duration === budget.window &&
    meter.goesOn === goesOn &&
    meter.zone === zone &&
    meter.correction?.position === correction?.position;
  if (sameConfig && meter.window.startMs <= nowMs && nowMs < meter.window.endMs) {
    if (meter.loadedTo === null && meter.loading === null) read(meter, ledger);
    return meter;
  }
  const window = budget.window === null ? FOR_EVER : budgetWindow(budget.window, nowMs, zone);
  const next: BudgetMeter = {
    window,
    duration: budget.window,
    goesOn,
    zone,
    correction,
    spentNanos: 0n,
    reservedNanos: 0n,
    loadedTo: null,
    loading: null,
    early: [],
    successor: null,
    missed: false,
    warned: false,
    baseNanos: 0n,
    byHandNanos: 0n,
    share: null,
  };
  const isNewest = window.startMs > owner.newestStartMs;
  const follows = sameConfig && isNewest && meter.loadedTo !== null && !meter.missed;
  if (follows && ledger.isShared?.() !== true) {
    next.loadedTo = meter.loadedTo;
  } else if (follows) {
    // What is running was admitted in the window before, and counts there.
    read(next, ledger);
  } else {
    if (meter !== null) {
      next.reservedNanos = meter.reservedNanos;
      meter.successor = next;
    }
    read(next, ledger);
  }
  if (meter !== null) ledger.replaced?.(meter);
  owner.meter = next;
  if (isNewest) owner.newestStartMs = window.startMs;
  return next;
}

/** Begins anew with what the ledger has; what is reserved stays. */
export function readAgain(meter: BudgetMeter, ledger: LedgerReader): Promise<void> {
  if (meter.loading === null) {
    meter.spentNanos = 0n;
    meter.loadedTo = null;
    read(meter, ledger);
  }
  return meter.loading!;
}

/** What of a budget is used and reserved by this process alone. */
export function ownNanos({ spentNanos, baseNanos, reservedNanos }: BudgetMeter): bigint {
  return spentNanos - baseNanos + reservedNanos;
}

function read(meter: BudgetMeter, ledger: LedgerReader): void {
  meter.loading = readInto(meter, ledger).finally(() => {
    meter.loading = null;
  });
  // Whoever waits for it sees a failure; if nobody does, nobody needs to.
  meter.loading.catch(() => undefined);
}

/** When it fails, what came early is kept: the next attempt may read a ledger without it. */
async function readInto(meter: BudgetMeter, ledger: LedgerReader): Promise<void> {
  const { base, after } = startOf(meter);
  const {
    nanos,
    position,
    baseNanos = nanos,
    share,
  } = await ledger.load(meter.window.startsAt, after, meter);
  if (meter.early.some(({ place }) => place.position === null)) await ledger.flush();
  meter.spentNanos += base + nanos;
  meter.baseNanos = base + baseNanos;
  meter.byHandNanos = base;
  meter.share = share ?? null;
  for (const { place, nanos: early } of meter.early) {
    // What has no place even now came after the ledger had been read.
    if (place.position === null || place.position > position) meter.spentNanos += early;
  }
  meter.early = [];
  meter.loadedTo = position;
}

/** The place in the log from where on the ledger counts for this meter; null for all of it. */
export function countsAfter(meter: BudgetMeter): bigint | null {
  return startOf(meter).after;
}

/** What a correction by hand starts the window with, and from where on the ledger counts then. */
function startOf({ window, correction }: BudgetMeter): {
  readonly base: bigint;
  readonly after: bigint | null;
} {
  if (correction === null) return { base: 0n, after: null };
  const { atMs, toNanos, sumNanos, position } = correction;
  if (window.startsAt === null) return { base: sumNanos, after: null };
  const within = window.startMs <= atMs && atMs < window.endMs;
  return within ? { base: toNanos, after: position } : { base: 0n, after: null };
}

/** Adds what a request has really spent, once that is durable. */
export function addSpent(owner: BudgetOwner, admittedMs: number, nanos: bigint, place: SpendPlace): void {
  const { meter } = owner;
  if (meter === null || admittedMs < meter.window.startMs) return;
  if (admittedMs >= meter.window.endMs) meter.missed = true;
  else if (meter.loadedTo === null) meter.early.push({ place, nanos });
  else if (place.position === null || place.position > meter.loadedTo) meter.spentNanos += nanos;
}

/** Gives back what was reserved, wherever the reservation is kept by now. */
export function unreserve(reserved: BudgetMeter, nanos: bigint): void {
  let meter = reserved;
  while (meter.successor !== null) meter = meter.successor;
  meter.reservedNanos -= nanos;
}
