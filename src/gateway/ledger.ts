import type { Pool } from 'pg';
import type { LevelName } from './levels.ts';
import type { SpentSince } from './limiter.ts';

/**
 * What was spent before this process looked: from the read models, which are asked once per budget
 * and window. Sum and position come from one statement and so from one moment.
 */
const EVER = `
  select p.position, coalesce(sum(t.price_nanos), 0)::text as nanos
  from projections p left join spend_totals t on t.level = $1 and t.id = $2
  where p.name = 'spend_totals' group by p.position`;
/** Each by an index; a project's rows are found through its tenant's. */
const OWN_ROWS: Readonly<Record<LevelName, string>> = {
  key: 's.key_id = $1',
  project: 's.project_id = $1 and s.tenant_id = (select tenant_id from projects where project_id = $1)',
  tenant: 's.tenant_id = $1',
};

export interface LedgerOptions {
  readonly pool: Pool;
  /** Head of the log when this process started: what others wrote before must be in the read models. */
  readonly startPosition: bigint;
  /** Resolves when all read models have the log up to a position. */
  readonly settled: (position: bigint) => Promise<void>;
}

export function createLedger({ pool, startPosition, settled }: LedgerOptions): SpentSince {
  return async (level, id, since, mustInclude) => {
    await settled(mustInclude > startPosition ? mustInclude : startPosition);
    const { rows } =
      since === null
        ? await pool.query<Row>(EVER, [level, id])
        : await pool.query<Row>(sinceQuery(level), [id, since]);
    const [row] = rows;
    if (row === undefined) throw new Error('the read models of spend do not exist yet');
    return { nanos: BigInt(row.nanos), position: BigInt(row.position) };
  };
}

interface Row {
  /** As the pool's readers for bigint leave it. */
  readonly position: string | bigint;
  readonly nanos: string;
}

function sinceQuery(level: LevelName): string {
  return `
    select p.position, coalesce(sum(s.price_nanos), 0)::text as nanos
    from projections p left join spend_log s on ${OWN_ROWS[level]} and s.admitted_at >= $2
    where p.name = 'spend_log' group by p.position`;
}
