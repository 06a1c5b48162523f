import { join } from 'node:path';
import { checkPlans } from '../plans.ts';
import { type CommandContext, toJson } from './context.ts';

/** Says what the plan files offer, or everything that is wrong with them, with file and line. */
export async function plansCheck(context: CommandContext): Promise<number> {
  const folder = context.config.settings.KEYLEDGER_PLANS_DIR ?? join(context.root, 'plans');
  const { ok, report } = checkPlans(folder);
  context.say(context.options.json ? toJson({ ok, report: report.split('\n') }) : report);
  return ok ? 0 : 1;
}
