import { budgetWindow } from '../domain/duration.ts';
import type { Budget } from '../domain/limits.ts';

/**
 * What one key, project or tenant has spent in the current window of its budget, and what its
 * running requests may still spend. What was spent before this process looked comes from the
 * ledger, once per window; what this process spends is added as it becomes durable. Both overlap:
 * a spend may be in the log before the ledger is read and be reported here afterwards. So the
 * ledger says up to which position of the log it had read, and a spend counts only beyond that.
 *
 * A window that follows another in this process starts from nothing: spend belongs to the window in
 * which its request was admitted, and all of those requests are still running or were ours.
 */
export interface BudgetMeter {
  readonly window: Span;
  /** As in the budget's configuration; another one means another meter. */
  readonly duration: string | null;
  readonly zone: string;
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
  readonly position: bigint;
  readonly nanos: bigint;
}

/** What was spent from an instant on (null: ever), and up to which position of the log that is known. */
export interface LedgerSum {
  readonly nanos: bigint;
  readonly position: bigint;
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
  budget: Budget,
  zone: string,
  nowMs: number,
  load: (since: string | null) => Promise<LedgerSum>,
): BudgetMeter {
  const { meter } = owner;
  const sameConfig = meter !== null && meter.duration === budget.window && meter.zone === zone;
  if (sameConfig && meter.window.startMs <= nowMs && nowMs < meter.window.endMs) {
    if (meter.loadedTo === null && meter.loading === null) read(meter, load);
    return meter;
  }
  const window = budget.window === null ? FOR_EVER : budgetWindow(budget.window, nowMs, zone);
  const next: BudgetMeter = {
    window,
    duration: budget.window,
    zone,
    spentNanos: 0n,
    reservedNanos: 0n,
    loadedTo: null,
    loading: null,
    early: [],
    successor: null,
    missed: false,
  };
  const isNewest = window.startMs > owner.newestStartMs;
  const follows = sameConfig && isNewest && meter.loadedTo !== null && !meter.missed;
  if (follows) {
    next.loadedTo = meter.loadedTo;
  } else {
    if (meter !== null) {
      next.reservedNanos = meter.reservedNanos;
      meter.successor = next;
    }
    read(next, load);
  }
  owner.meter = next;
  if (isNewest) owner.newestStartMs = window.startMs;
  return next;
}

function read(meter: BudgetMeter, load: (since: string | null) => Promise<LedgerSum>): void {
  meter.loading = readInto(meter, load).finally(() => {
    meter.loading = null;
  });
  // Whoever waits for it sees a failure; if nobody does, nobody needs to.
  meter.loading.catch(() => undefined);
}

/** When it fails, what came early is kept: the next attempt may read a ledger without it. */
async function readInto(
  meter: BudgetMeter,
  load: (since: string | null) => Promise<LedgerSum>,
): Promise<void> {
  const { nanos, position } = await load(meter.window.startsAt);
  meter.spentNanos += nanos;
  for (const spent of meter.early) if (spent.position > position) meter.spentNanos += spent.nanos;
  meter.early = [];
  meter.loadedTo = position;
}

/** Adds what a request has really spent, once it is durable at this position. */
export function addSpent(owner: BudgetOwner, admittedMs: number, nanos: bigint, position: bigint): void {
  const { meter } = owner;
  if (meter === null || admittedMs < meter.window.startMs) return;
  if (admittedMs >= meter.window.endMs) meter.missed = true;
  else if (meter.loadedTo === null) meter.early.push({ position, nanos });
  else if (position > meter.loadedTo) meter.spentNanos += nanos;
}

/** Gives back what was reserved, wherever the reservation is kept by now. */
export function unreserve(reserved: BudgetMeter, nanos: bigint): void {
  let meter = reserved;
  while (meter.successor !== null) meter = meter.successor;
  meter.reservedNanos -= nanos;
}
