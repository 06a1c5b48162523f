import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { ContractVersion } from '../domain/contract.ts';
import type { Discount } from '../domain/discount.ts';
import { ENVIRONMENTS } from '../domain/limits.ts';
import { formatNanos } from '../domain/money.ts';
import { type Agreed, limitsFor, tenantLimitsFor, type Terms, termsInForce } from '../domain/plan.ts';
import { tenant } from '../domain/tenant.ts';
import type { EventOf } from '../events.ts';
import type { EventStore } from '../store/event-store.ts';
import { limitTexts } from './contracts.ts';
import type { App } from './deps.ts';
import { agencyOf, type Db, tenantOf } from './read.ts';
import { After, Money, money, refusalAnswers } from './schemas.ts';

/** Every agreement that a tenant and its agency ever made, with what each changed: read from the log. */
const Difference = z.object({
  place: z.string().describe('terms, production, staging or tenant'),
  what: z.string().describe('Name of the term or limit'),
  before: z.string().nullable(),
  after: z.string().nullable(),
});

const Agreement = z.object({
  position: z.string(),
  at: z.string().describe('When it was agreed'),
  by: z.object({ kind: z.string(), id: z.string(), name: z.string().nullable() }),
  kind: z.enum(['signed', 'amended', 'ended']),
  effective_from: z.string(),
  plan: z.string().nullable().describe('Null: the contract ends'),
  plan_version: z.number().nullable(),
  monthly_fee: Money.nullable(),
  in_force: z.boolean().describe('This one holds now'),
  superseded: z.boolean().describe('It never came into force: another took its place before'),
  changes: z.array(Difference).describe('Against what held before'),
});

export function contractHistoryRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    historyRoute(app);
    done();
  };
}

function historyRoute(app: App): void {
  app.get(
    '/api/tenants/:id/contracts',
    {
      schema: {
        summary: 'Every version of the contract: who agreed what, when, from when on, and what it changed',
        tags: ['tenants'],
        params: z.object({ id: z.string().max(100) }),
        querystring: After,
        response: { 200: z.object({ data: z.array(Agreement), next_cursor: z.null() }), ...refusalAnswers },
      },
    },
    async ({ deps, params: { id } }) => {
      const row = await tenantOf(deps.db, id);
      const { currency } = await agencyOf(deps.db, row.agency_id);
      const steps = await agreementsOf(deps.store, id);
      const names = await namesOf(deps.db, steps);
      const now = deps.now();
      const inForce = steps.findLast((step) => step.holds && step.version.effectiveFrom <= now);
      const data = steps.toReversed().map((step) => {
        const { version, before, kind, actor } = step;
        const { terms, effectiveFrom } = version;
        return {
          position: String(step.position),
          at: step.at,
          by: { ...actor, name: names.get(actor.id) ?? null },
          kind,
          effective_from: effectiveFrom,
          plan: terms?.plan ?? null,
          plan_version: terms?.planVersion ?? null,
          monthly_fee: terms === null ? null : money(terms.monthlyFeeNanos, currency),
          in_force: step === inForce,
          superseded: !step.holds,
          changes: changesBetween(before, version, currency),
        };
      });
      return { data, next_cursor: null };
    },
  );
}

interface Step {
  readonly position: bigint;
  readonly at: string;
  readonly actor: { readonly kind: string; readonly id: string };
  readonly kind: 'signed' | 'amended' | 'ended';
  readonly version: ContractVersion;
  /** What would have held at that instant without it; null when nothing would. */
  readonly before: ContractVersion | null;
  /** False when a later agreement took its place before it came into force, or from the same moment on. */
  holds: boolean;
}

type ContractEvent = EventOf<'contract.signed' | 'contract.amended' | 'contract.ended'>;
const KINDS = {
  'contract.signed': 'signed',
  'contract.amended': 'amended',
  'contract.ended': 'ended',
} as const;

async function agreementsOf(store: EventStore, tenantId: string): Promise<Step[]> {
  const steps: Step[] = [];
  let state = tenant.initial;
  for await (const { event, position, recordedAt, actor } of store.readStream(`tenant-${tenantId}`)) {
    const known = 'contract' in state ? state.contract.versions : [];
    state = tenant.evolve(state, event as Parameters<typeof tenant.evolve>[1]);
    if (!(event.type in KINDS)) continue;
    const { contractId, effectiveFrom } = (event as ContractEvent).data;
    const versions = 'contract' in state ? state.contract.versions : [];
    const version = versions.find((one) => one.contractId === contractId);
    if (version === undefined) continue;
    const { kind, id } = actor;
    steps.push({
      position,
      at: recordedAt,
      actor: { kind, id },
      kind: KINDS[event.type as keyof typeof KINDS],
      version,
      before: known.findLast((one) => one.effectiveFrom <= effectiveFrom) ?? null,
      holds: true,
    });
  }
  const standing = new Set(('contract' in state ? state.contract.versions : []).map((one) => one.contractId));
  for (const step of steps) step.holds = standing.has(step.version.contractId);
  return steps;
}

function changesBetween(
  before: ContractVersion | null,
  after: ContractVersion,
  currency: string,
): z.output<typeof Difference>[] {
  const [was, is] = [textsOf(before, currency), textsOf(after, currency)];
  return [...new Set([...was.keys(), ...is.keys()])].flatMap((name) => {
    const [from, to] = [was.get(name) ?? null, is.get(name) ?? null];
    if (from === to) return [];
    const [place, what] = name.split(' ') as [string, string];
    return [{ place, what, before: from, after: to }];
  });
}

/** Everything that was agreed, by `place what`, as texts that can be compared. */
function textsOf(version: ContractVersion | null, currency: string): ReadonlyMap<string, string> {
  if (version === null || version.terms === null) return new Map();
  const { terms, agreed } = version;
  const scopes = [
    ...ENVIRONMENTS.map((name) => [name, limitsFor(terms, name, agreed)] as const),
    ['tenant', tenantLimitsFor(terms, agreed)] as const,
  ];
  const amount = (nanos: bigint) => `${formatNanos(nanos, 2)} ${currency}`;
  return new Map([
    ['terms plan', `${terms.plan} v${terms.planVersion}`],
    ['terms monthly_fee', amount(terms.monthlyFeeNanos)],
    ['terms included_usage', amount(terms.includedUsageNanos)],
    ['terms prices', pricesText(termsInForce(terms, agreed), amount)],
    ...discountsIn(agreed, amount),
    ...otherTerms(terms, amount).map(([what, text]) => [`terms ${what}`, text] as const),
    ...scopes.flatMap(([place, limits]) =>
      Object.entries(limitTexts(limits, currency)).map(([what, text]) => [`${place} ${what}`, text] as const),
    ),
  ]);
}

/** What most plans leave out. */
function otherTerms(terms: Terms, amount: (nanos: bigint) => string): (readonly [string, string])[] {
  const { projectFeeNanos, commitmentNanos, includedTokens, includedRequests } = terms;
  const { feesInAdvance, overage, trialDays, notice } = terms;
  const given: readonly (readonly [string, string | undefined])[] = [
    ['project_fee', projectFeeNanos === undefined ? undefined : amount(projectFeeNanos)],
    ['commitment', commitmentNanos === undefined ? undefined : amount(commitmentNanos)],
    ['included_tokens', includedTokens === undefined ? undefined : String(includedTokens)],
    ['included_requests', includedRequests === undefined ? undefined : String(includedRequests)],
    ['fees_in_advance', feesInAdvance === undefined ? undefined : String(feesInAdvance)],
    ['overage', overage?.policy],
    ['trial_days', trialDays === undefined ? undefined : String(trialDays)],
    ['notice', notice],
  ];
  return given.flatMap(([what, text]) => (text === undefined ? [] : [[what, text] as const]));
}

/** All of them as one text; nothing when there is none. */
function discountsIn(agreed: Agreed | null, amount: (nanos: bigint) => string): [string, string][] {
  const texts = (agreed?.discounts ?? []).map((one) => discountText(one, amount));
  return texts.length === 0 ? [] : [['terms discounts', texts.join('; ')]];
}

function discountText(
  { name, of, percent, nanos, from, until }: Discount,
  amount: (nanos: bigint) => string,
) {
  const size = percent === null ? amount(nanos) : `${percent} %`;
  return `${name}: ${size} of ${of}, ${from} to ${until ?? '…'}`;
}

function pricesText({ prices }: Terms, amount: (nanos: bigint) => string): string {
  const { models, markupPercent } = prices;
  const listed = Object.entries(models).map(
    ([model, { inputRate, outputRate }]) => `${model} ${amount(inputRate)} / ${amount(outputRate)}`,
  );
  return [...listed, ...(markupPercent === null ? [] : [`+${markupPercent} %`])].join(', ');
}

/** Of the users among those who agreed. */
async function namesOf(db: Db, steps: readonly Step[]): Promise<ReadonlyMap<string, string>> {
  const ids = [...new Set(steps.filter(({ actor }) => actor.kind === 'user').map(({ actor }) => actor.id))];
  if (ids.length === 0) return new Map();
  const rows = await db
    .selectFrom('contacts')
    .select(['subject_id', 'data'])
    .where(
      'subject_id',
      'in',
      ids.map((id) => `user:${id}`),
    )
    .execute();
  return new Map(
    rows.flatMap(({ subject_id: subject, data }) => {
      const { alias, email } = data as { readonly alias?: unknown; readonly email?: unknown };
      const name = [alias, email].find((one) => typeof one === 'string');
      return typeof name === 'string' ? [[subject.slice('user:'.length), name] as const] : [];
    }),
  );
}
