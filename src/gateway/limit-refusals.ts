import { budgetWindow } from '../domain/duration.ts';
import { isoInstant } from '../domain/local-time.ts';
import { formatNanos } from '../domain/money.ts';
import { Refusal } from '../errors.ts';
import type { BudgetMeter } from './budget.ts';
import type { BudgetCap, Instant, Level } from './levels.ts';

/**
 * What a caller is told when a limit is reached: which one, where it stands and when it is worth trying
 * again. Of the whole installation only the last: what others use is not the caller's business.
 */
interface SpentBudget {
  readonly level: Level;
  readonly cap: BudgetCap;
  /** What holds now. */
  readonly limit: bigint;
  readonly meter: BudgetMeter;
  readonly neededNanos: bigint;
}

export function budgetRefusal(spent: SpentBudget, status: number, now: Instant): Refusal {
  const { level, cap, limit, meter, neededNanos } = spent;
  const { endMs, endsAt } = meter.window;
  const resetsAt = endsAt ?? 'never';
  const waits = endsAt === null ? {} : { retryAfterSeconds: wholeSeconds(endMs - now.wallMs) };
  if (level.name === 'installation') {
    return new Refusal('installation_budget_exceeded', { resetsAt }, { status, ...waits });
  }
  const detail = {
    level: level.scope,
    id: level.id,
    subject: `${level.subject}${cap.note}`,
    spent: formatNanos(meter.spentNanos),
    reserved: formatNanos(meter.reservedNanos),
    limit: formatNanos(limit),
    needed: formatNanos(neededNanos),
    window: meter.duration,
    resetsAt,
  };
  return new Refusal('budget_exceeded', detail, { status, ...waits });
}

export function rateRefusal(
  level: Level,
  kind: 'requests' | 'tokens',
  limit: number,
  left: number,
  needed: number,
  /** Null when the limit is smaller than the request. */
  waitMs: number | null,
  wallMs: number,
): Refusal {
  const seconds = waitMs === null ? null : wholeSeconds(waitMs);
  const resetsAt = seconds === null ? 'never' : isoInstant(wallMs + seconds * 1_000);
  const where = { level: level.scope, id: level.id, kind, limit };
  const detail = { ...where, remaining: Math.max(left, 0), needed, resetsAt };
  const waits = seconds === null ? {} : { retryAfterSeconds: seconds };
  if (level.name !== 'overage') return new Refusal('rate_limited', detail, waits);
  const { endsAt: renewsAt } = budgetWindow('1mo', wallMs, level.zone);
  const facts = { ...detail, level: 'organization', renewsAt };
  return new Refusal('included_usage_spent', facts, waits);
}

export function parallelRefusal(level: Level, limit: number): Refusal {
  if (level.name === 'installation') return new Refusal('installation_busy', {}, { retryAfterSeconds: 1 });
  const where = { level: level.scope, id: level.id, kind: 'max_parallel_requests', limit };
  const resetsAt = limit === 0 ? 'never' : 'when a running request ends';
  return new Refusal(
    'rate_limited',
    { ...where, remaining: 0, needed: 1, resetsAt },
    limit === 0 ? {} : { retryAfterSeconds: 1 },
  );
}

function wholeSeconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1_000));
}
