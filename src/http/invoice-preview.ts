import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { isStarted } from '../domain/period.ts';
import { Refusal } from '../errors.ts';
import { termsOf } from './contract-change.ts';
import { agencyOf, tenantOf } from './read.ts';
import { refusalAnswers } from './schemas.ts';
import { settle, settleSpend } from './settle.ts';

/** What a month would have cost under another plan. */
const Body = z.strictObject({
  tenant_id: z.string().min(1).max(100),
  period: z.string().regex(/^20\d\d-(0[1-9]|1[0-2])$/, 'expected a month such as 2026-11'),
  plan: z.string().min(1).max(100),
  version: z.number().int().positive().optional().describe('The newest when left out'),
});

const Preview = z.object({
  tenant_id: z.string(),
  period: z.string(),
  plan: z.string(),
  plan_version: z.number(),
  currency: z.string(),
  lines: z.array(
    z.object({
      kind: z.string(),
      project_id: z.string().nullable(),
      model: z.string().nullable(),
      unit: z.string().nullable(),
      quantity: z.string(),
      exact: z.string(),
      net: z.string(),
    }),
  ),
  net: z.string().describe('The whole month under the plan, before VAT'),
  recorded: z.string().describe('What the usage was recorded at, without fees and what is included'),
  unpriced: z.array(z.string()).describe('Models and units that the plan cannot sell; they are left out'),
});

export function invoicePreviewRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.post(
      '/api/invoices/preview',
      {
        schema: {
          summary: 'Price the recorded usage of a month under another plan; writes nothing',
          tags: ['invoices'],
          body: Body,
          response: { 200: Preview, ...refusalAnswers },
        },
      },
      async ({ deps, body: { tenant_id: tenantId, period, plan, version } }) => {
        await settleSpend(deps);
        await settle(deps, deps.appendedPosition());
        const tenant = await tenantOf(deps.db, tenantId);
        const { agency_id: agencyId, zone, currency } = await agencyOf(deps.db, tenant.agency_id);
        if (!isStarted(period, deps.now(), zone)) throw new Refusal('period_not_started', { period, zone });
        const terms = await termsOf(deps, plan, version);
        const preview = await deps.billing.preview({ agencyId, tenantId, period, zone, terms });
        const facts = { tenant_id: tenantId, period, plan, plan_version: terms.planVersion, currency };
        return { ...facts, ...preview, lines: [...preview.lines], unpriced: [...preview.unpriced] };
      },
    );
    done();
  };
}
