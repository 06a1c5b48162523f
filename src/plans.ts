import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { parseDuration } from './domain/duration.ts';
import type { Budget, Limits } from './domain/limits.ts';
import { formatNanos, parseNanos, TOKENS_PER_RATE } from './domain/money.ts';
import { type ModelPrice, plan, type Terms, type UnitRates } from './domain/plan.ts';
import type { OtherUnit } from './domain/spend.ts';
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

const AMOUNT = 'write the amount in quotes with two decimals, such as "12.34"';
const RATE =
  'write the price of 1,000,000 tokens in quotes with at most three decimals, such as "0.15", so that one token costs whole nanos';
const PERCENT = 'write the percentage in quotes, such as "20" or "12.5", or null';

const Amount = z
  .string(AMOUNT)
  .regex(/^\d{1,9}\.\d{2}$/, AMOUNT)
  .transform(parseNanos);
const Rate = z
  .string(RATE)
  .regex(/^\d{1,6}(\.\d{1,3})?$/, RATE)
  .transform(parseNanos);
const Percent = z
  .string(PERCENT)
  .regex(/^\d{1,4}(\.\d{1,4})?$/, PERCENT)
  .transform((text) => formatNanos(parseNanos(text)));
const Count = z.number('write a whole number, or null for no limit').int().max(1_000_000_000);
const Text = z.string().trim().min(1);

const Window = z.string().superRefine((text, context) => {
  try {
    parseDuration(text);
  } catch (error) {
    context.addIssue((error as RangeError).message);
  }
});

const PER_PIECE = 'write the price of one in quotes, with at most nine decimals, such as "0.04"';
const PieceRate = z
  .string(PER_PIECE)
  .regex(/^\d{1,6}(\.\d{1,9})?$/, PER_PIECE)
  .transform((text) => parseNanos(text) * TOKENS_PER_RATE);

/** Other units by their name in the file; all may be left out. */
const OtherRates = {
  cache_write: Rate.optional(),
  audio_input: Rate.optional(),
  audio_output: Rate.optional(),
  characters: Rate.optional(),
  image: PieceRate.optional(),
  search: PieceRate.optional(),
  second: PieceRate.optional(),
};

const PriceOfModel = z
  .strictObject({ input: Rate, cached_input: Rate, output: Rate, ...OtherRates })
  .transform(({ input, cached_input: cached, output, ...others }): ModelPrice => {
    const unitRates = unitRatesOf(others);
    const tokens = { inputRate: input, cachedInputRate: cached, outputRate: output };
    return unitRates === null ? tokens : { ...tokens, unitRates };
  });

function unitRatesOf(
  raw: Readonly<Partial<Record<keyof typeof OtherRates, bigint | undefined>>>,
): UnitRates | null {
  const rates: readonly (readonly [OtherUnit, bigint | undefined])[] = [
    ['cache-write', raw.cache_write],
    ['audio-input', raw.audio_input],
    ['audio-output', raw.audio_output],
    ['character', raw.characters],
    ['image', raw.image],
    ['search', raw.search],
    ['second', raw.second],
  ];
  const given = rates.filter(([, rate]) => rate !== undefined);
  return given.length === 0 ? null : Object.fromEntries(given);
}

const LimitSet = z
  .strictObject({
    requests_per_minute: Count.positive().nullable(),
    tokens_per_minute: Count.positive().nullable(),
    parallel_requests: Count.positive().nullable(),
    budget: z
      .strictObject({ amount: Amount, window: Window.nullable() })
      .transform((raw): Budget => ({ nanos: raw.amount, window: raw.window }))
      .nullable(),
    models: z.array(z.string().regex(/^(\*|[^\s*]+(\/\*)?)$/, 'write a model name, prefix/* or *')),
  })
  .transform(
    (raw): Limits => ({
      requestsPerMinute: raw.requests_per_minute,
      tokensPerMinute: raw.tokens_per_minute,
      parallelRequests: raw.parallel_requests,
      models: raw.models,
      budget: raw.budget,
    }),
  );

const PlanFile = z
  .strictObject({
    name: z.string().regex(/^[a-z][a-z0-9-]{0,39}$/, 'write lower-case letters, digits and -'),
    version: z.number('write a whole number from 1 on').int().positive(),
    title: Text,
    description: Text,
    // Currencies with two decimals: invoices count in hundredths.
    currency: z.enum(['EUR', 'USD', 'CHF', 'GBP']),
    monthly_fee: Amount,
    included_usage: Amount,
    prices: z.strictObject({
      markup_percent: Percent.nullable(),
      models: z.record(z.string().regex(/^[^\s*]{1,200}$/, 'write one model name, without *'), PriceOfModel),
    }),
    limits: z.strictObject({ production: LimitSet, staging: LimitSet }),
    tenant_limits: LimitSet,
  })
  .superRefine((file, context) => {
    if (file.prices.markup_percent !== null) return;
    const sets = { 'limits.production': file.limits.production, 'limits.staging': file.limits.staging };
    for (const [place, { models }] of Object.entries({ ...sets, tenant_limits: file.tenant_limits })) {
      for (const [index, name] of models.entries()) {
        if (name.endsWith('*') || Object.hasOwn(file.prices.models, name)) continue;
        const path = [...place.split('.'), 'models', index];
        context.addIssue({
          code: 'custom',
          path,
          message: `${name} has no price, and there is no markup_percent`,
        });
      }
    }
  });

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

function termsOf(file: z.infer<typeof PlanFile>): Terms {
  return {
    plan: file.name,
    planVersion: file.version,
    currency: file.currency,
    monthlyFeeNanos: file.monthly_fee,
    includedUsageNanos: file.included_usage,
    prices: { models: file.prices.models, markupPercent: file.prices.markup_percent },
    limits: file.limits,
    tenantLimits: file.tenant_limits,
  };
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
