import type { Pool } from 'pg';
import { registered } from '../projection-tables.ts';
import type { Projection } from '../projection.ts';
import { readModels } from '../read-models.ts';
import { compareWithRebuild } from '../rebuild.ts';
import type { EventStore } from '../store/event-store.ts';
import { chainCheck, POSITIONS } from './chain-check.ts';
import { type CheckResult, newCheck } from './check.ts';
import { invoiceCheck, type RecomputeDraft } from './invoice-check.ts';
import { readSpendTables, spendCheck } from './spend-check.ts';

/**
 * Checks the whole log and everything that was made from it, while the server goes on. The log is
 * read once as it is stored, up to where it stood at the start; the read models are compared with a
 * rebuild, and spend and invoices with what the log says. Every problem names its place.
 */
export interface VerifyDeps {
  readonly store: EventStore;
  readonly pool: Pool;
  readonly recompute: RecomputeDraft;
  /** A clock that never jumps, such as performance.now. */
  readonly nowMs: () => number;
}

export interface VerifyProgress {
  /** What is being checked: `log`, `invoices`, or the name of a read model. */
  readonly part: string;
  /** Positions of the log, or invoices. */
  readonly done: number;
  readonly total: number;
}

/** As JSON. */
export interface VerifyReport {
  readonly ok: boolean;
  /** The log was checked up to this position. */
  readonly head: string;
  readonly events: number;
  readonly streams: number;
  readonly checks: readonly CheckResult[];
  readonly durationMs: number;
  /** Of reading and checking the log, without the comparison of the read models. */
  readonly eventsPerSecond: number;
}

const PROGRESS_EVENTS = 5_000;

export async function verifyLog(
  deps: VerifyDeps,
  options: { readonly onProgress?: (progress: VerifyProgress) => void } = {},
): Promise<VerifyReport> {
  const { store, pool, nowMs } = deps;
  const { onProgress } = options;
  const began = nowMs();
  const spend = spendCheck(await readSpendTables(pool));
  const head = await store.head();
  const chain = chainCheck(store.positions);
  const invoices = invoiceCheck();
  for await (const placed of store.readLog(0n)) {
    if (placed.position > head) break;
    const recorded = chain.accept(placed);
    if (recorded !== null) {
      spend.accept(recorded);
      invoices.accept(recorded);
    }
    if (chain.events % PROGRESS_EVENTS === 0)
      onProgress?.({ part: 'log', done: Number(placed.position), total: Number(head) });
  }
  const readMs = nowMs() - began;

  const checks: CheckResult[] = [...chain.results(head), await endCheck(deps, head)];
  checks.push(spend.results(invoices.invoiced));
  checks.push(await invoices.results(deps, (done, total) => onProgress?.({ part: 'invoices', done, total })));
  const isWhole = checks.every(({ name, ok }) => ok || name !== POSITIONS);
  for (const projection of readModels) {
    checks.push(await readModelCheck(deps, projection, { isWhole, onProgress }));
  }

  const { events, streams } = chain;
  return {
    ok: checks.every(({ ok }) => ok),
    head: String(head),
    events,
    streams,
    checks,
    durationMs: Math.round(nowMs() - began),
    eventsPerSecond: readMs === 0 ? 0 : Math.round((events / readMs) * 1000),
  };
}

/** A read model that is further than the log has seen events that are gone: the end was cut off. */
async function endCheck({ pool, store }: VerifyDeps, head: bigint): Promise<CheckResult> {
  const check = newCheck('end of the log');
  const { rows } = await pool.query<{ name: string; position: bigint }>(
    'select name, position from projections order by name',
  );
  const end = await store.head();
  for (const { name, position } of rows) {
    if (position > end)
      check.fail(end, `the log ends here, and the read model ${name} has seen position ${position}`);
  }
  return check.result(`no read model has seen more than the log has (${head})`);
}

async function readModelCheck(
  { store, pool }: VerifyDeps,
  projection: Projection,
  options: {
    /** False when the log has holes: whoever subscribes to it waits there for ever. */
    readonly isWhole: boolean;
    readonly onProgress: ((progress: VerifyProgress) => void) | undefined;
  },
): Promise<CheckResult> {
  const { name } = projection;
  const check = newCheck(`read model ${name}`);
  const live = await registered(pool, name);
  const isBeyond = live !== null && live.position > (await store.head());
  if (!options.isWhole || isBeyond) {
    check.fail(null, `it cannot be rebuilt from a log that ${isBeyond ? 'ends before it' : 'has holes'}`);
    return check.result('not compared');
  }
  try {
    const compared = await compareWithRebuild({
      store,
      pool,
      projection,
      onProgress: (done, total) =>
        options.onProgress?.({ part: name, done: Number(done), total: Number(total) }),
    });
    for (const key of compared.onlyLive)
      check.fail(null, `the row ${key.join(', ')} is not what the log says`);
    for (const key of compared.onlyRebuilt)
      check.fail(null, `the log says otherwise of the row ${key.join(', ')}`);
    if (!compared.equal)
      check.fail(null, `sha256 ${compared.live.sha256}, rebuilt ${compared.rebuilt.sha256}`);
    return check.result(`${compared.live.rows} rows, at position ${compared.position}`);
  } catch (error) {
    check.fail(null, `it could not be rebuilt: ${error instanceof Error ? error.message : String(error)}`);
    return check.result('not compared');
  }
}
