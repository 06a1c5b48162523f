/** Tables that are filled from one log after another, without being made anew in between. */
import type { Pool } from 'pg';
import type { Projection } from '../../src/projection.ts';
import { prepareTables } from '../../src/projection-tables.ts';
import { readModels } from '../../src/read-models.ts';
import { fill } from '../../src/rebuild.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import { dump, type TableDump } from '../../src/table-dump.ts';

export interface RebuiltTables {
  /** Empties them, applies the whole log as a rebuild does, and dumps each read model under its name. */
  from(store: EventStore, batchMax: number): Promise<Dumps>;
}

export type Dumps = Readonly<Record<string, TableDump>>;

/** One table per read model, all of them beside the live ones and marked with the suffix. */
export async function rebuiltTables(pool: Pool, suffix: string): Promise<RebuiltTables> {
  const beside: readonly Projection[] = readModels.map((model) => ({
    ...model,
    name: `${model.name}_${suffix}`,
  }));
  await prepareTables(pool, beside);
  return {
    async from(store, batchMax) {
      await emptyTables(pool, beside);
      const dumps = beside.map(async (projection, i) => {
        await fill({ store, pool, projection, batchMax, nowMs: () => performance.now() }, projection.name);
        return [readModels[i]!.name, await dump(pool, projection)] as const;
      });
      return Object.fromEntries(await Promise.all(dumps));
    },
  };
}

/** As if no event had been applied yet. Nobody may be writing to them. */
export async function emptyTables(pool: Pool, projections: readonly Projection[]): Promise<void> {
  const names = projections.map(({ name }) => name);
  const removals = names.map((name) => `delete from ${name}`).join('; ');
  await pool.query(
    `${removals}; update projections set position = 0 where name in ('${names.join("', '")}')`,
  );
}

export async function dumpAll(pool: Pool): Promise<Dumps> {
  const dumps = readModels.map(async (model) => [model.name, await dump(pool, model)] as const);
  return Object.fromEntries(await Promise.all(dumps));
}
