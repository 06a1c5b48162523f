import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatNanos } from './domain/money.ts';
import { plan, type Terms } from './domain/plan.ts';
import { PlanFile, termsOf } from './plan-file.ts';
import { type CommandMeta, load, transact } from './transact.ts';
import type { EventStore } from './store/event-store.ts';
import { readYaml, type YamlProblem } from './yaml-file.ts';

/**
 * Tiers as files: `plans/<name>.yaml`, one per plan, read strictly and published into the log when
 * they are new. A contract copies the terms, so editing a file changes nothing that is signed.
 * Every field has to be there: a limit that is left out by mistake must not become "unlimited".
 */
export interface PlanDefinition {
  readonly terms: Terms;
  /** For people: price lists and screens. Not part of the agreement, so not part of the terms. */
  readonly title: string;
  readonly description: string;
  /** Path of the file, for messages. */
  readonly file: string;
}

/** Everything that is wrong with the plan files, at once. */
export class PlansInvalid extends Error {
  override readonly name = 'PlansInvalid';
  /** `plans/starter.yaml:12:5 limits.production: …`, in order of file and line. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`The plans are not valid:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.problems = problems;
  }
}

/** Every plan of the folder, by name. Throws PlansInvalid with all problems of all files. */
export function readPlans(dir: string): readonly PlanDefinition[] {
  const { plans, problems } = collect(dir);
  if (problems.length > 0) throw new PlansInvalid(problems);
  return plans;
}

/** For `plans:check`: what the files say, or what is wrong with them. */
export function checkPlans(dir: string): { readonly ok: boolean; readonly report: string } {
  const { plans, problems } = collect(dir);
  if (problems.length > 0) return { ok: false, report: new PlansInvalid(problems).message };
  return { ok: true, report: [...plans.map(summary), `${plans.length} plans are valid.`].join('\n') };
}

function collect(dir: string): { plans: readonly PlanDefinition[]; problems: readonly string[] } {
  const plans: PlanDefinition[] = [];
  const problems: string[] = [];
  for (const name of readdirSync(dir).toSorted()) {
    const file = join(dir, name);
    if (name.endsWith('.yml')) problems.push(`${file}: name it ${name.slice(0, -4)}.yaml`);
    if (!name.endsWith('.yaml')) continue;
    const read = readYaml(readFileSync(file, 'utf8'), PlanFile);
    if (read.value === null) {
      problems.push(...read.problems.map((problem) => problemText(file, problem)));
    } else if (name !== `${read.value.name}.yaml`) {
      problems.push(`${file}: the plan is called ${read.value.name}; name the file ${read.value.name}.yaml`);
    } else {
      const { title, description } = read.value;
      plans.push({ terms: termsOf(read.value), title, description, file });
    }
  }
  if (plans.length === 0 && problems.length === 0)
    problems.push(`${dir}: there is no plan, write one as <name>.yaml`);
  return { plans, problems };
}

function problemText(file: string, { line, column, path, message }: YamlProblem): string {
  return `${file}:${line}:${column} ${path === '' ? '' : `${path}: `}${message}`;
}

function summary({ terms, title }: PlanDefinition): string {
  const { markupPercent, models } = terms.prices;
  const others = markupPercent === null ? 'no others' : `others at cost + ${markupPercent} %`;
  return [
    `${terms.plan} ${terms.planVersion} (${title}):`,
    `${formatNanos(terms.monthlyFeeNanos, 2)} ${terms.currency} a month,`,
    `${formatNanos(terms.includedUsageNanos, 2)} of usage included,`,
    `${Object.keys(models).length} models priced, ${others}`,
  ].join(' ');
}

/**
 * Publishes what is new; a version that is in the log already leaves no event. Nothing is published
 * unless everything can be. `meta.commandId` is a fresh one: what the files say is compared with
 * the log, not with an earlier call. `position` is 0 when nothing was new.
 * Throws Refusal(plan_version_immutable) when a published version was edited, and
 * Refusal(plan_version_order) when a file is older than the log.
 */
export async function publishPlans(
  store: EventStore,
  plans: readonly PlanDefinition[],
  meta: CommandMeta,
): Promise<{ readonly position: bigint; readonly published: readonly Terms[] }> {
  const fresh: Terms[] = [];
  for (const { terms } of plans) {
    const state = await load(store, plan, streamOf(terms));
    if (plan.decide({ type: 'publish', terms }, state).length > 0) fresh.push(terms);
  }
  let position = 0n;
  for (const terms of fresh) {
    const outcome = await transact(store, plan, streamOf(terms), { type: 'publish', terms }, meta);
    if (outcome.position > position) position = outcome.position;
  }
  return { position, published: fresh };
}

function streamOf(terms: Terms): string {
  return `plan-${terms.plan}`;
}
