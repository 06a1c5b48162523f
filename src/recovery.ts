import { join } from 'node:path';
import type { Pool } from 'pg';
import type { Config } from './config.ts';
import { recoverSpool } from './gateway/spool-recovery.ts';
import { deadWriters, isLivingWriter, unmarkWriter } from './living-writers.ts';
import type { Log } from './log.ts';
import { noteEnded } from './process-registry.ts';
import { requireOwnSpool } from './spool-owner.ts';
import type { EventStore } from './store/event-store.ts';

export interface RecoveryDeps {
  readonly config: Config;
  readonly store: Pick<EventStore, 'append' | 'readStream' | 'readLog' | 'head'>;
  readonly pool: Pool;
  readonly log: Log;
  readonly say: (line: string) => void;
}

export function spoolDirOf({ dataDir }: Pick<Config, 'dataDir'>): string {
  return join(dataDir, 'spool');
}

/**
 * What killed processes have left in the spool goes to the log: budgets and reads then know of it, and
 * what they held of shared limits can be given back. For the one that owns the data folder. Throws when
 * the spool belongs to another log.
 */
export async function recoverSpools({ config, store, pool, log, say }: RecoveryDeps): Promise<void> {
  const dir = spoolDirOf(config);
  await requireOwnSpool(dir, store);
  const emptied: string[] = [];
  const { spends, interrupted } = await recoverSpool({
    dir,
    store,
    log,
    isAlive: (writerId) => isLivingWriter(dir, writerId),
    onEmptied: (writerId) => emptied.push(writerId),
  });
  const dead = [...new Set([...emptied, ...deadWriters(dir)])];
  if (dead.length > 0) await noteEnded(pool, dead.filter(isUuid), await store.head());
  for (const writerId of dead) unmarkWriter(dir, writerId);
  if (spends === 0) return;
  say(
    `recorded ${spends} requests that the last run had not taken to the log, ${interrupted} of them cut off`,
  );
}

function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}
