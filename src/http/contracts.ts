import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Limits } from '../domain/limits.ts';
import { formatNanos } from '../domain/money.ts';
import { type Command, commandOf, takeEffect } from './command.ts';
import {
  carryOut,
  ContractBody,
  type ContractChange,
  type KeyChange,
  type MonthEffect,
  planChange,
} from './contract-change.ts';
import type { App, HttpDeps } from './deps.ts';
import { LimitsAnswer, limitsAnswer, Money, money, refusalAnswers } from './schemas.ts';
import { ContractAnswer, contractAnswer, PlannedAnswer, plannedAnswer } from './tenant-view.ts';

/** Changing and ending a contract: first as a preview, then exactly that. */

const LimitChange = z.object({
  limit: z.string().describe('Name as in the limits'),
  before: z.string().describe('As text: `unlimited`, a count, `250.00 EUR per 1mo` …'),
  after: z.string(),
});
const Month = z.object({ before: Money, after: Money });

const ChangeAnswer = z
  .object({
    tenant_id: z.string(),
    kind: z.enum(['upgrade', 'downgrade', 'end']),
    effective_from: z.string().describe('Instant'),
    before: ContractAnswer.nullable(),
    after: ContractAnswer.nullable().describe('Null: the contract ends'),
    dropped: z.array(PlannedAnswer).describe('Changes agreed for later that this one replaces'),
    keys: z.array(
      z.object({
        id: z.string(),
        alias: z.string().nullable(),
        project_id: z.string().nullable(),
        environment: z.string().nullable(),
        before: LimitsAnswer,
        after: LimitsAnswer,
        changes: z.array(LimitChange),
      }),
    ),
    tenant_limits: z.object({ before: LimitsAnswer, after: LimitsAnswer, changes: z.array(LimitChange) }),
    month: z.object({ period: z.string(), fee: Month, included_usage: Month }),
  })
  .meta({ id: 'ContractChange' });

const Params = z.object({ id: z.string().max(100) });

export function contractRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    previewRoute(app);
    changeRoute(app, deps);
    done();
  };
}

function previewRoute(app: App): void {
  app.post(
    '/api/tenants/:id/contract/preview',
    {
      schema: {
        summary: 'What a change of the contract would do to each key and to this month; changes nothing',
        tags: ['tenants'],
        params: Params,
        body: ContractBody,
        response: { 200: ChangeAnswer, ...refusalAnswers },
      },
    },
    async ({ deps, params, body }) => {
      const change = await planChange(deps, { commandId: 'preview', at: deps.now() }, params.id, body);
      return changeAnswer(change);
    },
  );
}

function changeRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/api/tenants/:id/contract',
    {
      schema: {
        summary: 'Change or end the contract: exactly what the preview says',
        description:
          'Keys follow at once, or by themselves when the change comes into force. The latest word holds from its date on.',
        tags: ['tenants'],
        params: Params,
        body: ContractBody,
        response: { 200: ChangeAnswer.extend({ position: z.string() }), ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const command: Command = commandOf(deps, request);
      const change = await planChange(deps, command, request.params.id, request.body);
      const position = await carryOut(deps, command, change);
      await takeEffect(deps, reply, position);
      return { ...changeAnswer(change), position: String(position) };
    },
  );
}

function changeAnswer(change: ContractChange): z.output<typeof ChangeAnswer> {
  const { agency, kind, version, before, dropped, keys, tenantLimits, period, month } = change;
  const { currency } = agency;
  const shown = (effects: keyof MonthEffect) => ({
    before: money(month.before[effects], currency),
    after: money(month.after[effects], currency),
  });
  const limits = { before: tenantLimits.before, after: tenantLimits.after };
  return {
    tenant_id: change.tenantId,
    kind,
    effective_from: version.effectiveFrom,
    before: contractAnswer(before),
    after: contractAnswer(version),
    dropped: dropped.map(plannedAnswer),
    keys: keys.map((one) => keyChangeAnswer(one, currency)),
    tenant_limits: limitsChange(limits, currency),
    month: { period, fee: shown('feeNanos'), included_usage: shown('includedNanos') },
  };
}

function keyChangeAnswer({ row, before, after }: KeyChange, currency: string) {
  return {
    id: row.key_id,
    alias: row.alias,
    project_id: row.project_id,
    environment: row.environment,
    ...limitsChange({ before, after }, currency),
  };
}

function limitsChange(
  { before, after }: { readonly before: Limits; readonly after: Limits },
  currency: string,
) {
  const [was, is] = [limitTexts(before, currency), limitTexts(after, currency)];
  const changes = Object.keys(was)
    .filter((limit) => was[limit] !== is[limit])
    .map((limit) => ({ limit, before: was[limit]!, after: is[limit]! }));
  return { before: limitsAnswer(before, currency), after: limitsAnswer(after, currency), changes };
}

/** Each limit as a text that can be compared. */
export function limitTexts(limits: Limits, currency: string): Readonly<Record<string, string>> {
  return {
    requests_per_minute: countText(limits.requestsPerMinute),
    tokens_per_minute: countText(limits.tokensPerMinute),
    parallel_requests: countText(limits.parallelRequests),
    models: limits.models.length === 0 ? 'every model' : limits.models.join(', '),
    budget:
      limits.budget === null
        ? 'unlimited'
        : `${formatNanos(limits.budget.nanos, 2)} ${currency} ${limits.budget.window === null ? 'in all' : `per ${limits.budget.window}`}`,
  };
}

function countText(count: number | null): string {
  return count === null ? 'unlimited' : String(count);
}
