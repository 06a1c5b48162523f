/** Limiters of several processes over one database, without their gateways. */
import { randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import { NO_EXTRA } from '../../src/domain/extra-limits.ts';
import { type Limits, UNLIMITED } from '../../src/domain/limits.ts';
import { Refusal } from '../../src/errors.ts';
import { allowanceOf } from '../../src/gateway/allowance.ts';
import type { Instant, Level, LevelName } from '../../src/gateway/levels.ts';
import {
  createLimiter,
  type Demand,
  type Limiter,
  type Reservation,
  type SpentSince,
} from '../../src/gateway/limiter.ts';
import { levelFor } from '../../src/gateway/scope-levels.ts';
import { createShares, type Shares } from '../../src/gateway/shares.ts';
import { tagOf } from '../../src/process-registry.ts';
import type { TestDatabase } from '../support/database.ts';
import { spendRecorded } from '../support/events.ts';
import { silent } from '../support/read-models.ts';

export interface Seat {
  readonly id: string;
  readonly tag: string;
  readonly limiter: Limiter;
  readonly shares: Shares;
  /** Others are there from now on. */
  share(): Promise<void>;
  level(name: LevelName, limits: Partial<Limits>): Level;
  /** Waits for shares as the gateway does. Throws what the limiter refuses with. */
  admit(levels: readonly Level[], demand: Demand): Promise<Reservation>;
  /** Null instead of the refusal. */
  tried(levels: readonly Level[], demand: Demand): Promise<Reservation | null>;
  settle(reservation: Reservation, nanos: bigint, tokens?: number): void;
  /** From here on the database does not hear from it any more, and it nothing from the database. */
  cutOff(): void;
}

export interface SeatOptions {
  readonly spentSince?: SpentSince;
  readonly now?: () => Instant;
  readonly trustedUntilMs?: () => number;
}

export async function takeSeat(database: TestDatabase, options: SeatOptions = {}): Promise<Seat> {
  const now = options.now ?? (() => ({ wallMs: Date.now(), monotonicMs: performance.now() }));
  const id = randomUUID();
  const tag = tagOf(id);
  let cut = false;
  const pool = {
    connect: () => database.pool.connect(),
    query: (...query: Parameters<Pool['query']>) =>
      cut ? Promise.reject(new Error('the database is away')) : database.pool.query(...query),
  } as unknown as Pool;
  // It lives for as long as the test.
  await pool.query(
    `insert into gateway_processes (id, tag, sharing, heard_at) values ($1, $2, true, clock_timestamp() + interval '1 hour')`,
    [id, tag],
  );
  const shares = createShares({
    pool,
    holder: id,
    monotonicMs: () => now().monotonicMs,
    log: silent,
    standing: {
      get trustedUntilMs() {
        return options.trustedUntilMs?.() ?? Infinity;
      },
      trusted: () => Promise.reject(new Error('the database does not answer')),
    },
  });
  const limiter = createLimiter({
    spentSince: options.spentSince ?? (() => Promise.resolve({ nanos: 0n, position: 0n })),
    flush: () => Promise.resolve(0n),
    budgetStatus: 422,
    onSoftBudget: () => undefined,
  });
  const admit: Seat['admit'] = async (levels, demand) => {
    const arrivedMs = now().monotonicMs;
    for (;;) {
      const at = now();
      const wait = limiter.prepare(levels, at) ?? limiter.lack(levels, demand, at, arrivedMs);
      if (wait === null) return limiter.reserve(levels, demand, at);
      await wait;
    }
  };
  return {
    id,
    tag,
    limiter,
    shares,
    share: () => limiter.share({ shares, pool, tag }),
    level: (name, limits) =>
      levelFor(
        limiter.accounts,
        { name, id: 'x', subject: 'x', zone: 'UTC' },
        allowanceOf({ ...UNLIMITED, ...limits }, NO_EXTRA),
      ),
    admit,
    async tried(levels, demand) {
      try {
        return await admit(levels, demand);
      } catch (error) {
        if (error instanceof Refusal) return null;
        throw error;
      }
    },
    cutOff: () => void (cut = true),
    settle(reservation, nanos, tokens = 0) {
      const { data } = spendRecorded({ priceNanos: nanos });
      const spend = {
        agencyId: 'age_1',
        tenantId: null,
        actor: { kind: 'key', id: 'key_1' } as const,
        correlationId: 'call',
        occurredAt: data.admittedAt,
        data,
      };
      limiter.settle(reservation, tokens, spend, { position: null });
    },
  };
}

export async function takeSeats(
  count: number,
  database: TestDatabase,
  options: SeatOptions = {},
): Promise<readonly Seat[]> {
  const seats: Seat[] = [];
  for (let i = 0; i < count; i += 1) seats.push(await takeSeat(database, options));
  if (count > 1) await Promise.all(seats.map((seat) => seat.share()));
  return seats;
}

/** A request of so many tokens, each for one nano. */
export function costing(tokens: number): Demand {
  return {
    inputTokens: tokens,
    choices: 1,
    namedOutputTokens: 0,
    outputTokensMax: 0,
    otherNanos: 0n,
    prices: { input: 1_000_000n, 'cached-input': 0n, output: 0n },
  };
}
