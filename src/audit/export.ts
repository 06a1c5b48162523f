import type { Pool } from 'pg';
import { CHECKPOINT, type Seal } from '../domain/log-seal.ts';
import type { EventStore } from '../store/event-store.ts';
import { bundleWriter, type BundleWriter, type Footer, type Scope } from './bundle.ts';
import { eventFilter } from './export-scope.ts';
import { readRecords } from './records.ts';
import { provableStretch } from './stretch.ts';

/**
 * Exports the log, or what concerns one tenant, key or invoice, as a bundle that can be checked
 * without this installation. A full one needs no proofs: whoever has all events can compute what was
 * sealed. In a partial one each event comes with its way to the root of a seal, which shows nothing of
 * the other events there. Memory holds the hashes under one seal and nothing that grows with the log.
 */
export interface ExportDeps {
  readonly store: EventStore;
  readonly pool: Pool;
  /** ISO instant, UTC. */
  readonly now: () => string;
}

export interface ExportOptions {
  readonly scope: Scope;
  /** Takes one line with its line end; the next comes when it has resolved. */
  readonly put: (line: string) => Promise<void>;
  readonly onProgress?: (progress: ExportProgress) => void;
}

export interface ExportProgress {
  /** Of the log, that were passed. */
  readonly events: number;
  /** Where that was, and where the log ended when the export began. */
  readonly position: bigint;
  readonly head: bigint;
}

const PROGRESS_EVENTS = 5_000;

/** Throws Error when the log is not what was sealed: then it has to be verified, and not exported. */
export async function exportBundle(deps: ExportDeps, options: ExportOptions): Promise<Footer> {
  const { scope, put } = options;
  const writer = bundleWriter(put);
  await writer.header({ format: 'keyledger bundle', version: 1, scope, exportedAt: deps.now() });
  if (scope.kind === 'all') await writeAll(deps, writer, options);
  else await writePart(deps, writer, options);
  await readRecords(deps.pool, scope, (table, row) => writer.record(table, row));
  return await writer.footer();
}

async function writeAll({ store }: ExportDeps, writer: BundleWriter, options: ExportOptions): Promise<void> {
  const head = await store.head();
  let events = 0;
  for await (const placed of store.readLog(0n)) {
    await writer.event(placed);
    events += 1;
    if (events % PROGRESS_EVENTS === 0) options.onProgress?.({ events, position: placed.position, head });
  }
}

interface Wanted {
  readonly stream: string;
  readonly revision: bigint;
  readonly hash: string;
}

async function writePart(deps: ExportDeps, writer: BundleWriter, options: ExportOptions): Promise<void> {
  const { store, pool } = deps;
  const isWanted = await eventFilter(pool, options.scope);
  const seals = await sealsOf(store);
  const head = await store.head();
  let stretch = provableStretch();
  let wanted: Wanted[] = [];
  let place = 0n;
  let next = 0;
  for await (const placed of store.readLog(0n)) {
    const { stream, revision, hash } = placed;
    place += 1n;
    const seal = seals[next];
    // Behind the last seal there is nothing to prove by.
    if (seal !== undefined) stretch.add(placed);
    if (stream === CHECKPOINT) await writer.event(placed);
    else if (isWanted(placed)) {
      await writer.event(placed);
      if (seal !== undefined) wanted.push({ stream, revision, hash });
    }
    if (place === seal?.position) {
      if (stretch.sum().root !== seal.root) {
        throw new Error(
          `The log up to position ${placed.position} is not what was sealed: run audit verify.`,
        );
      }
      for (const event of wanted) await writer.proof(stretch.prove(event));
      wanted = [];
      stretch = provableStretch();
      next += 1;
    }
    if (place % BigInt(PROGRESS_EVENTS) === 0n)
      options.onProgress?.({ events: Number(place), position: placed.position, head });
  }
}

async function sealsOf(store: EventStore): Promise<readonly Pick<Seal, 'position' | 'root'>[]> {
  const seals: Pick<Seal, 'position' | 'root'>[] = [];
  for await (const { event } of store.readStream(CHECKPOINT)) {
    if (event.type === 'log.sealed') seals.push({ position: event.data.position, root: event.data.root });
  }
  return seals;
}
