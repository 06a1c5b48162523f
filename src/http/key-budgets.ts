import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { sql } from 'kysely';
import { z } from 'zod';
import { budgetWindow } from '../domain/duration.ts';
import { visible } from './attention.ts';
import { insightOf } from './insight.ts';
import { agencyOf } from './read.ts';
import { After, Money, money, refusalAnswers } from './schemas.ts';

/** How far keys are in their budgets: what a list of keys shows beside each. */
const KEYS_MAX = 100;

const Spent = z.object({
  key_id: z.string(),
  budget: Money,
  window: z.string().nullable().describe('Null: for ever'),
  spent: Money.describe('In the window that is running'),
});

interface Row {
  readonly key_id: string;
  readonly budget: bigint;
  readonly spent: bigint;
}

export function keyBudgetRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.get(
      '/api/key-budgets',
      {
        schema: {
          summary: 'What keys have spent of their budgets; keys without one, or of others, are left out',
          tags: ['usage'],
          querystring: After.extend({
            ids: z
              .string()
              .transform((text) => text.split(','))
              .pipe(z.array(z.string().min(1).max(200)).max(KEYS_MAX))
              .describe('Ids of keys, comma separated'),
          }),
          response: { 200: z.object({ data: z.array(Spent), next_cursor: z.null() }), ...refusalAnswers },
        },
      },
      async ({ deps: { db, now, ownTenant }, caller, query: { ids } }) => {
        const { zone, currency } = await agencyOf(db, ownTenant.agencyId);
        const seen = visible(insightOf(caller));
        const windows = await sql<{ window: string | null }>`
          select distinct budget_window as window from keys
          where key_id = any(${ids}) and budget_nanos is not null and ${seen}`.execute(db);
        const data: z.output<typeof Spent>[] = [];
        for (const { window } of windows.rows) {
          const startsAt = window === null ? null : budgetWindow(window, now(), zone).startsAt;
          const { rows } = await sql<Row>`
            select key_id, budget_nanos as budget,
              case when ${startsAt}::text is null then spend_adjusted else 0 end + coalesce((
                select sum(price_nanos) from spend_log s
                where s.key_id = keys.key_id and (${startsAt}::timestamptz is null or s.admitted_at >= ${startsAt})
              ), 0) as spent
            from keys
            where key_id = any(${ids}) and budget_nanos is not null
              and budget_window is not distinct from ${window} and ${seen}`.execute(db);
          for (const { key_id, budget, spent } of rows)
            data.push({ key_id, window, budget: money(budget, currency), spent: money(spent, currency) });
        }
        return { data, next_cursor: null };
      },
    );
    done();
  };
}
