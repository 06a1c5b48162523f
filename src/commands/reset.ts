import { readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { removeEmbeddedPostgres } from '../embedded-postgres.ts';
import { lockInstance } from '../instance-lock.ts';
import type { CommandContext } from './context.ts';

/** What this program puts into its data folder; anything else there is not ours to remove. */
const OURS = /^(master-key|audit-signing-key(\.next)?\.pem|keyledger\.lock\.\d+|lock-draft-[0-9a-f]+)$/;
/** What a database elsewhere still needs: the key of its credentials, and whose spool this is. */
const OF_THE_DATABASE = /^(salt-key|spool\.log-id)$/;

/** Removes the embedded database and the drawn master key; never an outside database. */
export async function resetCommand({ config, say }: CommandContext): Promise<number> {
  const lock = await lockInstance(config.dataDir);
  await removeEmbeddedPostgres(config.dataDir);
  await lock.release();
  for (const name of await readdir(config.dataDir)) {
    if (OURS.test(name) || (config.databaseUrl === null && OF_THE_DATABASE.test(name)))
      await rm(join(config.dataDir, name), { force: true });
  }
  // With a log elsewhere, the spool may hold spend that it does not have yet.
  const spool = join(config.dataDir, 'spool');
  if (config.databaseUrl === null) await rm(spool, { recursive: true, force: true });
  else await rmdir(spool).catch(() => undefined);
  const left = await readdir(config.dataDir);
  if (left.length === 0) await rmdir(config.dataDir);
  say(`removed the data in ${config.dataDir}${left.length > 0 ? `; left alone: ${left.join(', ')}` : ''}`);
  if (config.databaseUrl !== null) say('the database at DATABASE_URL is not touched');
  return 0;
}
