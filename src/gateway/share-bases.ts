import type { Pool } from 'pg';

/** What the ledger had of a budget up to a position of the log. */
export interface Base {
  readonly meter: string;
  readonly nanos: bigint;
  readonly position: bigint;
  readonly endsAt: string | null;
}

/** Those that are there already stay. */
export async function insertBases(pool: Pool, bases: readonly Base[]): Promise<void> {
  await pool.query(
    `insert into limit_bases (meter, base, position, ends_at)
     select * from unnest($1::text[], $2::numeric[], $3::bigint[], $4::timestamptz[])
     on conflict do nothing`,
    [
      bases.map(({ meter }) => meter),
      bases.map(({ nanos }) => String(nanos)),
      bases.map(({ position }) => String(position)),
      bases.map(({ endsAt }) => endsAt),
    ],
  );
}

/** Agrees with the others on what a budget starts with: whoever comes first says it. */
export async function agreeOnBase(pool: Pool, base: Base): Promise<{ nanos: bigint; position: bigint }> {
  await insertBases(pool, [base]);
  return (await readBase(pool, base.meter))!;
}

export async function readBase(
  pool: Pool,
  meter: string,
): Promise<{ nanos: bigint; position: bigint } | null> {
  const { rows } = await pool.query<{ base: string | bigint; position: string | bigint }>(
    'select base, position from limit_bases where meter = $1',
    [meter],
  );
  const [row] = rows;
  return row === undefined ? null : { nanos: BigInt(row.base), position: BigInt(row.position) };
}

/** Removes windows that are over for long, and what those held that are gone. */
export async function tidyShares(pool: Pool): Promise<void> {
  await pool.query(
    `with over as (delete from limit_bases where ends_at < clock_timestamp() - interval '1 day' returning meter)
     delete from limit_shares s using over where s.meter = over.meter`,
  );
  await pool.query(
    `delete from limit_shares s where left(s.meter, 1) <> 'b'
       and not exists (select 1 from gateway_processes p where p.id = s.holder)`,
  );
}
