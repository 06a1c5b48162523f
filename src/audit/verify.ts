import type { Pool } from 'pg';
import { registered } from '../projection-tables.ts';
import type { Recorded } from '../events.ts';
import type { Projection } from '../projection.ts';
import { readModels } from '../read-models.ts';
import { compareWithRebuild } from '../rebuild.ts';
import { type EventStore, UndecodableEvent } from '../store/event-store.ts';
import { CHECKPOINT } from '../domain/log-seal.ts';
import { chainCheck, POSITIONS } from './chain-check.ts';
import { type CheckResult, newCheck } from './check.ts';
import { invoiceCheck, type RecomputeDraft } from './invoice-check.ts';
import { type Checkpoint, isCheckpoint, sealCheck } from './seal-check.ts';
import type { PublicKey } from './signing-key.ts';
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

export interface VerifyOptions {
  /**
   * First and last position to look at. With either, only the log itself is checked, and seals as far
   * as all of what they cover was read: what follows from the log can only be compared with all of it.
   */
  readonly from?: bigint;
  readonly to?: bigint;
  /** Keys that the auditor trusts, and hashes of events or seals that must be there. */
  readonly trusted?: readonly PublicKey[];
  readonly expected?: readonly string[];
  readonly onProgress?: (progress: VerifyProgress) => void;
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
  /** The log was checked from this position up to that one. */
  readonly from: string;
  readonly head: string;
  /** What the newest seal covers; null when there is none. */
  readonly sealedTo: string | null;
  /** Hash of the newest seal: note it, and give it to a later check as one that must be there. */
  readonly newestSeal: string | null;
  /** Of the key that signs at the end; null before the first. */
  readonly keyId: string | null;
  readonly events: number;
  readonly streams: number;
  readonly checks: readonly CheckResult[];
  readonly durationMs: number;
  /** Of reading and checking the log, without the comparison of the read models. */
  readonly eventsPerSecond: number;
}

const PROGRESS_EVENTS = 5_000;

export async function verifyLog(deps: VerifyDeps, options: VerifyOptions = {}): Promise<VerifyReport> {
  const { store, nowMs } = deps;
  const gapless = store.positions === 'gapless';
  const { from = 1n, onProgress } = options;
  const isWhole = options.from === undefined && options.to === undefined;
  const began = nowMs();
  const followers = isWhole ? await logFollowers(deps) : null;
  const checkpoints = await readCheckpoints(store);
  const end = await store.head();
  const head = options.to !== undefined && options.to < end ? options.to : end;
  const chain = chainCheck({ from, gapless });
  const start = await startOf(store, from);
  const seals = sealCheck({ ...options, checkpoints, from: start.place + 1n });
  let { place } = start;
  for await (const placed of store.readLog(start.position)) {
    if (placed.position > head) break;
    // Without gaps the position is the place. With them, places have to be counted.
    place = gapless ? placed.position : place + 1n;
    const recorded = chain.accept(placed);
    seals.accept(placed, place);
    if (recorded !== null) followers?.accept(recorded);
    if (chain.events % PROGRESS_EVENTS === 0)
      onProgress?.({
        part: 'log',
        done: Number(placed.position - from + 1n),
        total: Number(head - from + 1n),
      });
  }
  const readMs = nowMs() - began;

  const reached = { place: gapless ? head : place, position: head };
  const checks: CheckResult[] = [...chain.results(head), ...seals.results(reached)];
  if (followers !== null) checks.push(...(await followers.results(checks, head, onProgress)));

  const { events, streams } = chain;
  const { newest, keyId } = seals;
  return {
    ok: checks.every(({ ok }) => ok),
    from: String(from),
    head: String(head),
    sealedTo: newest === null ? null : String(newest.position),
    newestSeal: newest?.hash ?? null,
    keyId,
    events,
    streams,
    checks,
    durationMs: Math.round(nowMs() - began),
    eventsPerSecond: readMs === 0 ? 0 : Math.round((events / readMs) * 1000),
  };
}

/**
 * What lies before the first position to look at: its last position, and how many events that are. Where
 * positions have gaps, only those that the store gave can be read after, and all before has to be counted.
 */
async function startOf(
  store: EventStore,
  from: bigint,
): Promise<{ readonly place: bigint; readonly position: bigint }> {
  if (from === 1n || store.positions === 'gapless') return { place: from - 1n, position: from - 1n };
  const start = { place: 0n, position: 0n };
  for await (const { position } of store.readLog(0n)) {
    if (position >= from) break;
    start.place += 1n;
    start.position = position;
  }
  return start;
}

/** Seals as far as they can be read: what cannot is found when the log is read. */
async function readCheckpoints(store: EventStore): Promise<readonly Checkpoint[]> {
  const checkpoints: Checkpoint[] = [];
  try {
    for await (const recorded of store.readStream(CHECKPOINT))
      if (isCheckpoint(recorded)) checkpoints.push(recorded);
  } catch (error) {
    if (!(error instanceof UndecodableEvent)) throw error;
  }
  return checkpoints;
}

/** What is made from the log: spend, invoices and read models. */
async function logFollowers(deps: VerifyDeps) {
  const spend = spendCheck(await readSpendTables(deps.pool));
  const invoices = invoiceCheck();
  return {
    accept(recorded: Recorded): void {
      spend.accept(recorded);
      invoices.accept(recorded);
    },
    async results(
      ofLog: readonly CheckResult[],
      head: bigint,
      onProgress: VerifyOptions['onProgress'],
    ): Promise<readonly CheckResult[]> {
      const checks = [await endCheck(deps, head), spend.results(invoices.invoiced)];
      checks.push(
        await invoices.results(deps, (done, total) => onProgress?.({ part: 'invoices', done, total })),
      );
      const isWhole = ofLog.every(({ name, ok }) => ok || name !== POSITIONS);
      for (const projection of readModels) {
        checks.push(await readModelCheck(deps, projection, { isWhole, onProgress }));
      }
      return checks;
    },
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
