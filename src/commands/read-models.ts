import type { Installation } from '../installation.ts';
import { startProjector } from '../projector.ts';
import { readModels } from '../read-models.ts';
import type { CommandContext } from './context.ts';

/** Longest wait for the read models to have the whole log. */
const CATCH_UP_MS_MAX = 3_600_000;
const TELLING_MS = 500;

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
  const telling = setInterval(() => {
    const behind = projector.status().toSorted((a, b) => b.lag - a.lag)[0];
    if (behind === undefined || behind.lag === 0) return;
    const { name, position, lag } = behind;
    context.progress(`filling the read models: ${name} at position ${position} of ${position + BigInt(lag)}`);
  }, TELLING_MS);
  try {
    await settled(await store.head());
    clearInterval(telling);
    context.progress('');
    return await work(settled);
  } finally {
    clearInterval(telling);
    await projector.stop();
  }
}
