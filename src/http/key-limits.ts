import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { sql } from 'kysely';
import { z } from 'zod';
import { budgetWindow } from '../domain/duration.ts';
import { type Limits, UNLIMITED } from '../domain/limits.ts';
import { readLimits, readTerms } from '../domain/terms-json.ts';
import { Refusal } from '../errors.ts';
import { insightOf } from './insight.ts';
import { requireRightTo } from './key-rights.ts';
import { findKey } from './key-target.ts';
import { limitsOfRow, numberOrNull } from './limited-row.ts';
import { agencyOf, type Db, type KeyView, projectOf, tenantOf } from './read.ts';
import { After, LimitsAnswer, limitsAnswer, Money, money, refusalAnswers } from './schemas.ts';

/** What holds for a call with a key, level by level, and how much of it is taken at this moment. */
const Level = z.object({
  level: z.enum(['key', 'user', 'project', 'tenant']),
  id: z.string(),
  limits: LimitsAnswer,
  last_minute: z
    .object({ requests: z.number(), tokens: z.number() })
    .describe('Recorded in the last 60 seconds; what is still running counts at the gateway'),
  spent: Money.nullable().describe('In the window of the budget; null without one'),
  resets_at: z.string().nullable(),
});

const COLUMNS = { key: 'key_id', user: 'user_id', project: 'project_id', tenant: 'tenant_id' } as const;
const MINUTE_MS = 60_000;

export function keyLimitRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.get(
      '/api/keys/:id/limits',
      {
        schema: {
          summary: 'The limits of a key on every level, and what of them is used now',
          description: 'Levels that the caller may not look at are left out.',
          tags: ['keys'],
          params: z.object({ id: z.string().max(500).describe('Key id or token hash') }),
          querystring: After,
          response: {
            200: z.object({ key_id: z.string(), at: z.string(), levels: z.array(Level) }),
            ...refusalAnswers,
          },
        },
      },
      async ({ deps, caller, params }) => {
        const { db } = deps;
        const at = deps.now();
        const key = params.id.startsWith('sk-') ? undefined : await findKey(db, params.id, at);
        if (key === undefined) throw new Refusal('key_not_found', {}, { param: 'id' });
        await requireRightTo(db, caller, key, '/key/info');
        const { all, tenants, projects } = insightOf(caller);
        const leadsTenant = all || tenants.includes(key.tenant_id);
        const leadsProject = leadsTenant || projects.includes(key.project_id ?? '');
        const { currency } = await agencyOf(db, key.agency_id);
        const shown = (await levelsOf(db, key)).filter(
          ({ level }) =>
            level === 'key' || level === 'user' || (level === 'tenant' ? leadsTenant : leadsProject),
        );
        const levels = await Promise.all(
          shown.map((level) => levelAnswer(db, level, { at, zone: key.zone, currency })),
        );
        return { key_id: key.key_id, at, levels };
      },
    );
    done();
  };
}

interface KeyLevel {
  readonly level: keyof typeof COLUMNS;
  readonly id: string;
  readonly limits: Limits;
}

async function levelsOf(db: Db, key: KeyView): Promise<readonly KeyLevel[]> {
  const { tenant_id: tenantId, project_id: projectId, user_id: userId } = key;
  const [tenant, project, user] = await Promise.all([
    tenantOf(db, tenantId),
    projectId === null ? undefined : projectOf(db, projectId),
    userId === null
      ? undefined
      : db.selectFrom('users').selectAll().where('user_id', '=', userId).executeTakeFirst(),
  ]);
  const terms = tenant.terms === null ? null : readTerms(tenant.terms);
  return [
    { level: 'key', id: key.key_id, limits: limitsOfKey(key) },
    ...(user === undefined
      ? []
      : [{ level: 'user' as const, id: user.user_id, limits: limitsOfRow(user).limits }]),
    ...(project === undefined
      ? []
      : [
          {
            level: 'project' as const,
            id: project.project_id,
            limits: project.limits === null ? UNLIMITED : readLimits(project.limits),
          },
        ]),
    { level: 'tenant', id: tenantId, limits: terms?.tenantLimits ?? UNLIMITED },
  ];
}

function limitsOfKey(key: KeyView): Limits {
  return {
    requestsPerMinute: numberOrNull(key.requests_per_minute),
    tokensPerMinute: numberOrNull(key.tokens_per_minute),
    parallelRequests: numberOrNull(key.parallel_requests),
    models: key.models,
    budget: key.budget_nanos === null ? null : { nanos: key.budget_nanos, window: key.budget_window },
  };
}

async function levelAnswer(
  db: Db,
  { level, id, limits }: KeyLevel,
  moment: { readonly at: string; readonly zone: string; readonly currency: string },
): Promise<z.output<typeof Level>> {
  const { at, zone, currency } = moment;
  const { budget } = limits;
  const window = budget === null || budget.window === null ? null : budgetWindow(budget.window, at, zone);
  const minuteAgo = new Date(Date.parse(at) - MINUTE_MS).toISOString();
  const column = sql.ref(COLUMNS[level]);
  const { rows } = await sql<{ requests: bigint; tokens: bigint; spent: bigint }>`
    select count(*) filter (where admitted_at > ${minuteAgo}) as requests,
      coalesce(sum(input_tokens + output_tokens) filter (where admitted_at > ${minuteAgo}), 0) as tokens,
      coalesce(sum(price_nanos) filter (where ${
        window === null
          ? sql`true`
          : sql`admitted_at >= ${window.startsAt} and admitted_at < ${window.endsAt}`
      }), 0) as spent
    from spend_log where ${column} = ${id}
      and ${budget !== null && window === null ? sql`true` : sql`admitted_at >= ${earlier(window?.startsAt ?? at, minuteAgo)}`}`.execute(
    db,
  );
  const { requests, tokens, spent } = rows[0]!;
  return {
    level,
    id,
    limits: limitsAnswer(limits, currency),
    last_minute: { requests: Number(requests), tokens: Number(tokens) },
    spent: budget === null ? null : money(spent, currency),
    resets_at: window?.endsAt ?? null,
  };
}

function earlier(a: string, b: string): string {
  return a < b ? a : b;
}
