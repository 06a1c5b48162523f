import type { Follower } from './follow.ts';
import { type Metric, single } from './metrics.ts';
import type { Projector } from './projector.ts';
import type { EventStore } from './store/event-store.ts';

/** What the log and everything that follows it say of themselves. */
export interface LogMetricsSources {
  readonly store: Pick<EventStore, 'restarts'>;
  readonly projector: Pick<Projector, 'status' | 'head'>;
  /** Of the tables in memory that the gateway decides by. */
  readonly follower: Pick<Follower, 'position' | 'lastHeardMs'>;
  readonly seals: () => SealFacts;
}

export interface SealFacts {
  /** The newest seal that this process knows; null before the first. */
  readonly last: { readonly position: bigint; readonly sealedAt: string } | null;
  /** Attempts that failed since the start. */
  readonly failures: number;
}

export function logMetrics({ store, projector, follower, seals }: LogMetricsSources): readonly Metric[] {
  const { last, failures } = seals();
  return [
    single(
      'gauge',
      'keyledger_log_position',
      'Newest position of the log that this process knows.',
      projector.head(),
    ),
    single(
      'counter',
      'keyledger_log_restarts_total',
      'How often following the log began anew after an error, an end or silence.',
      store.restarts(),
    ),
    ...projectionMetrics(projector),
    single(
      'gauge',
      'keyledger_key_table_position',
      'The tables in memory that the gateway decides by have the log up to here.',
      follower.position,
    ),
    single(
      'gauge',
      'keyledger_key_table_age_seconds',
      'How long ago those tables were last known to hold everything; the gateway refuses from 5 s on.',
      follower.lastHeardMs() / 1_000,
    ),
    single('counter', 'keyledger_seal_failures_total', 'Seals of the log that failed.', failures),
    single('gauge', 'keyledger_sealed_events', 'Events of the log under a seal.', last?.position ?? null),
    single(
      'gauge',
      'keyledger_last_seal_timestamp_seconds',
      'When the newest seal was taken.',
      last === null ? null : Date.parse(last.sealedAt) / 1_000,
    ),
  ];
}

export interface GatewayFacts {
  readonly inFlight: number;
  /** Spend that is in the spool and not in the log yet. */
  readonly spends: number;
  readonly spoolBytes: number;
  readonly softBudgetsReached: number;
}

export function gatewayMetrics(facts: GatewayFacts): readonly Metric[] {
  const { inFlight, spends, spoolBytes, softBudgetsReached } = facts;
  return [
    single(
      'gauge',
      'keyledger_requests_in_flight',
      'Requests to models that are not answered yet.',
      inFlight,
    ),
    single('gauge', 'keyledger_spool_spends', 'Spend in the spool that the log does not have yet.', spends),
    single('gauge', 'keyledger_spool_bytes', 'Size of the spool on disk.', spoolBytes),
    single(
      'counter',
      'keyledger_soft_budgets_reached_total',
      'How often a soft budget was reached; the log says which.',
      softBudgetsReached,
    ),
  ];
}

function projectionMetrics(projector: Pick<Projector, 'status'>): readonly Metric[] {
  const status = projector.status();
  const each = (
    name: string,
    help: string,
    value: (one: (typeof status)[number]) => number | bigint | boolean,
  ): Metric => ({
    name: `keyledger_projection_${name}`,
    help,
    type: 'gauge',
    samples: status.map((one) => {
      const measured = value(one);
      const labels = { projection: one.name };
      return { labels, value: typeof measured === 'boolean' ? Number(measured) : measured };
    }),
  });
  return [
    each('position', 'The read model has the log up to here.', ({ position }) => position),
    each(
      'lag_positions',
      'Positions behind the log; events in PostgreSQL, bytes in EventStoreDB.',
      ({ lag }) => lag,
    ),
    each('lag_seconds', 'For how long it has not had everything.', ({ behindMs }) => behindMs / 1_000),
    each('stopped', '1 when it stands still until somebody deals with the cause.', ({ stopped }) => stopped),
    each('failing', '1 while its last attempt failed.', ({ error }) => error !== null),
    each('writes', '1 when this process writes it, 0 while another one does.', ({ writes }) => writes),
  ];
}
