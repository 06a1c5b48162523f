import type { Installation } from '../installation.ts';
import { startProjector } from '../projector.ts';
import { readModels } from '../read-models.ts';
import type { CommandContext } from './context.ts';

/** Longest wait for the read models to have the whole log. */
const CATCH_UP_MS_MAX = 600_000;

/**
 * Runs `work` with read models that have everything that is in the log now. Beside a running server
 * this only waits for it; alone, this process fills them.
 */
export async function withReadModels(
  context: CommandContext,
  { store, database }: Installation,
  work: (settled: (position: bigint) => Promise<void>) => Promise<number>,
): Promise<number> {
  const projector = await startProjector({
    store,
    pool: database.pool,
    projections: readModels,
    log: context.log,
  });
  const settled = (position: bigint) => projector.reached(position, CATCH_UP_MS_MAX);
  try {
    await settled(await store.head());
    return await work(settled);
  } finally {
    await projector.stop();
  }
}
