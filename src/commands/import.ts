import { linesOf } from '../audit/bundle.ts';
import { formatVerdict } from '../audit/format-verdict.ts';
import { importBundle } from '../audit/import-bundle.ts';
import { verifyBundle } from '../audit/verify-bundle.ts';
import type { Installation } from '../installation.ts';
import { postgresStore } from '../store/postgres.ts';
import { type CommandContext, usage, withInstallation } from './context.ts';
import { withReadModels } from './read-models.ts';

/** Replays a full export into an empty installation, after checking it. Starting it again completes it. */
export async function importCommand(context: CommandContext): Promise<number> {
  const [file] = context.args;
  if (file === undefined) return usage(context, 'import <bundle>');
  const report = await verifyBundle({
    open: () => linesOf(file),
    nowMs: () => performance.now(),
    onProgress: ({ done, total }) => context.progress(`checking event ${done} of ${total}`),
  });
  context.progress('');
  if (!report.ok) {
    context.say(formatVerdict(report));
    return 1;
  }
  return withInstallation(
    context,
    async (installation) => {
      await mustBeFresh(installation);
      const imported = await replay(context, installation, file, report.events);
      await withReadModels(context, installation, () => Promise.resolve(0));
      context.progress('');
      const { events, found, records } = imported;
      context.say(`imported ${events} events (${found} were there already) and ${records} records`);
      return 0;
    },
    { creates: true },
  );
}

/** Positions that read models have seen in another log mean nothing in this one. */
async function mustBeFresh({ store, database: { pool } }: Installation): Promise<void> {
  if ((await store.head()) > 0n) return;
  const { rows } = await pool.query<{ name: string }>('select name from projections where position > 0');
  if (rows.length === 0) return;
  throw new Error(
    'The log of this installation is empty, and the read models in its database are those of another log. ' +
      'Import into a fresh database.',
  );
}

/** Over a store of its own, because it keeps the times of recording. */
async function replay(
  { config, log, progress }: CommandContext,
  { database: { pool } }: Installation,
  file: string,
  total: number,
): ReturnType<typeof importBundle> {
  let recordedAt = new Date().toISOString();
  const now = (): string => recordedAt;
  const { eventStoreDb } = await import('../store/eventstoredb.ts');
  const store =
    config.eventStoreDbUrl === null
      ? postgresStore({ pool, listenUrl: null, log, now })
      : eventStoreDb({ url: config.eventStoreDbUrl, log, now });
  const deps = {
    store,
    pool,
    setRecordedAt: (instant: string) => void (recordedAt = instant),
    onProgress: (events: number) => progress(`importing event ${events} of ${total}`),
  };
  try {
    return await importBundle(deps, linesOf(file));
  } finally {
    await store.close();
  }
}
