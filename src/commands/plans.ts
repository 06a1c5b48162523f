import { join } from 'node:path';
import type { Terms } from '../domain/plan.ts';
import { diffTerms, publishedTerms } from '../plan-diff.ts';
import { checkPlans, readPlans } from '../plans.ts';
import type { EventStore } from '../store/event-store.ts';
import { type CommandContext, toJson, usage, withInstallation } from './context.ts';

/** Says what the plan files offer, or everything that is wrong with them, with file and line. */
export async function plansCheck(context: CommandContext): Promise<number> {
  const { ok, report } = checkPlans(folderOf(context));
  context.say(context.options.json ? toJson({ ok, report: report.split('\n') }) : report);
  return ok ? 0 : 1;
}

/** Says what differs between two versions of a plan: published ones by number, and the file. */
export async function plansDiff(context: CommandContext): Promise<number> {
  const [name, from, to] = context.args;
  const isVersion = (text: string | undefined) => text === undefined || /^(file|[1-9]\d{0,8})$/.test(text);
  if (name === undefined || !isVersion(from) || !isVersion(to)) {
    return usage(context, 'plans:diff <name> [from] [to]: a published version, or file');
  }
  return withInstallation(context, async ({ store }) => {
    const before = await termsNamed(context, store, name, from);
    const after = await termsNamed(context, store, name, to ?? 'file');
    if (before === null || after === null) {
      context.say(
        `there is no ${before === null ? (from ?? 'published version') : (to ?? 'file')} of plan ${name}`,
      );
      return 1;
    }
    const changes = diffTerms(before, after);
    const versions = { from: before.planVersion, to: after.planVersion };
    if (context.options.json) context.say(toJson({ plan: name, ...versions, changes }));
    else if (changes.length === 0) context.say(`${name}: nothing differs`);
    else for (const one of changes) context.say(`${one.term}: ${one.before ?? '-'} -> ${one.after ?? '-'}`);
    return 0;
  });
}

async function termsNamed(
  context: CommandContext,
  store: EventStore,
  name: string,
  version: string | undefined,
): Promise<Terms | null> {
  if (version === 'file') {
    return readPlans(folderOf(context)).find(({ terms }) => terms.plan === name)?.terms ?? null;
  }
  return await publishedTerms(store, name, version === undefined ? null : Number(version));
}

function folderOf({ config, root }: CommandContext): string {
  return config.settings.KEYLEDGER_PLANS_DIR ?? join(root, 'plans');
}
