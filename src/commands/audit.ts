import { formatKeyHistory } from '../audit/format-key-history.ts';
import { formatVerdict } from '../audit/format-verdict.ts';
import { keyHistory, type Moment } from '../audit/key-history.ts';
import { verifyLog } from '../audit/verify.ts';
import { billingRecords } from '../billing/billing-records.ts';
import { recomputeDraft } from '../billing/recompute.ts';
import { maskSecret } from '../secrets.ts';
import { type CommandContext, toJson, usage, withInstallation } from './context.ts';
import { withReadModels } from './read-models.ts';

const KEY_USAGE = 'audit key <id> [--at <instant or position>] [--json]';

/** Replays one key: who did what when, its state at that moment, what it cost. */
export async function auditKey(context: CommandContext): Promise<number> {
  const [name] = context.args;
  if (name === undefined) return usage(context, KEY_USAGE);
  const { at } = context.options;
  const moment = at === undefined ? undefined : momentOf(at);
  if (moment === null)
    return usage(context, `${KEY_USAGE}\n--at takes an instant such as 2026-11-20T12:00:00Z, or a position`);
  return withInstallation(context, (installation) =>
    withReadModels(context, installation, async () => {
      const now = () => new Date().toISOString();
      const deps = { store: installation.store, db: installation.database.db, now };
      const history = await keyHistory(deps, name, moment === undefined ? {} : { at: moment });
      if (history === null) {
        context.say(`There is no key ${name.startsWith('sk-') ? maskSecret(name) : name}.`);
        return 1;
      }
      context.say(context.options.json ? toJson(history) : formatKeyHistory(history));
      return 0;
    }),
  );
}

function momentOf(text: string): Moment | null {
  if (/^\d{1,18}$/.test(text)) return BigInt(text);
  const instant = new Date(text);
  return Number.isNaN(instant.getTime()) ? null : instant.toISOString();
}

/** Checks the whole log and every read model; exit code 1 when something is wrong. */
export async function auditVerify(context: CommandContext): Promise<number> {
  return withInstallation(context, (installation) =>
    withReadModels(context, installation, async () => {
      const { store, database } = installation;
      const nowMs = () => performance.now();
      const report = await verifyLog(
        {
          store,
          pool: database.pool,
          recompute: (invoice) => recomputeDraft({ store, records: billingRecords(database) }, invoice),
          nowMs,
        },
        {
          onProgress: ({ part, done, total }) => context.progress(`checking ${part}: ${done} of ${total}`),
        },
      );
      context.progress('');
      context.say(context.options.json ? toJson(report) : formatVerdict(report));
      return report.ok ? 0 : 1;
    }),
  );
}
