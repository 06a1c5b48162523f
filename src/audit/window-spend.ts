import { type Kysely, sql } from 'kysely';
import { agency, type AgencyEvent } from '../domain/agency.ts';
import { budgetWindow } from '../domain/duration.ts';
import type { Budget } from '../domain/limits.ts';
import { formatNanos } from '../domain/money.ts';
import type { EventStore } from '../store/event-store.ts';
import { knownUntil, type SpendTables } from './key-spend.ts';
import { isAfter } from './replay.ts';

/** A budget at a moment: its window then, and what was spent in it until then. As JSON. */
export type WindowSpend = {
  readonly level: SpendLevel;
  readonly id: string;
  /** A duration such as `1mo`; null: for ever. */
  readonly window: string | null;
  /** Instants; null for a budget without windows. The end is not in it. */
  readonly starts_at: string | null;
  readonly ends_at: string | null;
  /** Decimals, exact. */
  readonly budget: string;
  readonly spent: string;
  readonly currency: string;
};

export type SpendLevel = 'key' | 'project' | 'tenant';

const COLUMNS = { key: 'key_id', project: 'project_id', tenant: 'tenant_id' } as const;

/** Spend counts in the window in which its request was admitted, as it does at the gateway. */
export async function windowSpend(
  db: Kysely<SpendTables>,
  budget: Budget,
  of: { readonly level: SpendLevel; readonly id: string },
  moment: {
    /** Instant that the window is of. */
    readonly at: string;
    readonly until: bigint | string | undefined;
    readonly zone: string;
    readonly currency: string;
  },
): Promise<WindowSpend> {
  const { at, until, zone, currency } = moment;
  const window = budget.window === null ? null : budgetWindow(budget.window, at, zone);
  const within =
    window === null
      ? sql`true`
      : sql`s.admitted_at >= ${window.startsAt}::timestamptz and s.admitted_at < ${window.endsAt}::timestamptz`;
  const { rows } = await sql<{ nanos: bigint }>`
    select coalesce(sum(s.price_nanos), 0) as nanos from spend_log s
    where s.${sql.ref(COLUMNS[of.level])} = ${of.id} and ${within} and ${knownUntil(until)}`.execute(db);
  return {
    ...of,
    window: budget.window,
    starts_at: window?.startsAt ?? null,
    ends_at: window?.endsAt ?? null,
    budget: formatNanos(budget.nanos),
    spent: formatNanos(rows[0]?.nanos ?? 0n),
    currency,
  };
}

/** Zone and currency of an agency at a moment; UTC and no currency when it did not exist. */
export async function agencyAt(
  store: EventStore,
  agencyId: string,
  until: bigint | string | undefined,
): Promise<{ readonly zone: string; readonly currency: string }> {
  let state = agency.initial;
  for await (const { event, position, recordedAt } of store.readStream(`agency-${agencyId}`)) {
    if (isAfter(until, position, recordedAt)) break;
    state = agency.evolve(state, event as AgencyEvent);
  }
  return { zone: state.settings?.zone ?? 'UTC', currency: state.settings?.currency ?? '' };
}
