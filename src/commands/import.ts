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
      const imported = await replay(context, installation, file, report.events);
      context.progress('filling the read models');
      await withReadModels(context, installation, () => Promise.resolve(0));
      context.progress('');
      const { events, found, records } = imported;
      context.say(`imported ${events} events (${found} were there already) and ${records} records`);
      return 0;
    },
    { creates: true },
  );
}

async function replay(
  context: CommandContext,
  { database, store: installed }: Installation,
  file: string,
  total: number,
): ReturnType<typeof importBundle> {
  const { pool } = database;
  const onProgress = (events: number) => context.progress(`importing event ${events} of ${total}`);
  // EventStoreDB gives its own times of recording.
  if (context.config.eventStoreDbUrl !== null) {
    return importBundle({ store: installed, pool, onProgress }, linesOf(file));
  }
  let recordedAt = new Date().toISOString();
  // A store of its own, because it keeps the times of recording.
  const store = postgresStore({ pool, listenUrl: null, log: context.log, now: () => recordedAt });
  try {
    return await importBundle(
      {
        store,
        pool,
        setRecordedAt: (instant) => {
          recordedAt = instant;
        },
        onProgress,
      },
      linesOf(file),
    );
  } finally {
    await store.close();
  }
}
