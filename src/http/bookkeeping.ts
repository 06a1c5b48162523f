import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { TAX_STATUSES } from '../domain/tax.ts';
import { commandOf, metaFor, takeEffect } from './command.ts';
import type { App, HttpDeps } from './deps.ts';
import { sendFile } from './invoice-files.ts';
import { agencyOf, tenantOf } from './read.ts';
import { After, AnyValue, refusalAnswers, ShortText } from './schemas.ts';
import { settle } from './settle.ts';

/** The agency's side of billing: exports for accounting, tax facts, and what its documents look like. */
const Month = z.string().regex(/^20\d\d-(0[1-9]|1[0-2])$/, 'expected a month such as 2026-11');
const AgencyParams = z.object({ id: z.string().max(100) });

const VatCheck = z.object({
  id: z.string(),
  source: z.string(),
  vat_id: z.string(),
  requester_vat_id: z.string().nullable(),
  valid: z.boolean(),
  checked_at: z.string(),
  request_date: z.string().nullable(),
  request_identifier: z.string().nullable().describe('What VIES gave as proof of the enquiry'),
  name: z.string().nullable(),
  address: z.string().nullable(),
  note: z.string().nullable(),
});

export function bookkeepingRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    exportRoute(app, 'datev', 'A month of invoices as a DATEV booking batch (EXTF)');
    exportRoute(app, 'csv', 'A month of invoices as a CSV journal');
    taxStatusRoute(app, deps);
    vatCheckRoute(app, deps);
    vatChecksRoute(app);
    brandRoutes(app);
    done();
  };
}

function exportRoute(app: App, format: 'datev' | 'csv', summary: string): void {
  app.get(
    `/api/exports/${format}`,
    {
      schema: {
        summary,
        description: 'Of every invoice and Stornorechnung that is dated in the month.',
        tags: ['exports'],
        querystring: After.extend({ agency: z.string().max(100), period: Month }),
        response: { 200: AnyValue.describe('The file'), ...refusalAnswers },
      },
    },
    async ({ deps, query: { agency, period } }, reply) =>
      sendFile(reply, await deps.billing.exportMonth({ agencyId: agency, month: period, format })),
  );
}

function taxStatusRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/api/agencies/:id/tax-status',
    {
      schema: {
        summary:
          'Declare the tax status of an agency from a day on: standard, or small business (section 19)',
        description: 'A month of service has the status of its last day. Issued invoices stay as they are.',
        tags: ['agencies'],
        params: AgencyParams,
        body: z.strictObject({ from: z.iso.date(), status: z.enum(TAX_STATUSES) }),
        response: {
          200: z.object({
            agency_id: z.string(),
            from: z.string(),
            status: z.string(),
            position: z.string(),
          }),
          ...refusalAnswers,
        },
      },
    },
    async (request, reply) => {
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      const { agency_id: agencyId } = await agencyOf(deps.db, request.params.id);
      const { from, status } = request.body;
      const meta = metaFor(command, { agencyId, tenantId: null });
      const { position } = await deps.billing.declareTaxStatus({ agencyId, from, status }, meta);
      await takeEffect(deps, reply, position);
      return { agency_id: agencyId, from, status, position: String(position) };
    },
  );
}

function vatCheckRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/api/tenants/:id/vat-checks',
    {
      schema: {
        summary: "Check a tenant's VAT id with VIES and keep the evidence, or record a check made by hand",
        tags: ['tenants'],
        params: z.object({ id: z.string().max(100) }),
        body: z.strictObject({
          by_hand: z
            .strictObject({ valid: z.boolean(), checked_at: z.iso.datetime(), note: ShortText.trim().min(1) })
            .optional(),
        }),
        response: { 200: VatCheck.extend({ position: z.string() }), ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      const { agency_id: agencyId, tenant_id: tenantId } = await tenantOf(deps.db, request.params.id);
      const { by_hand: given } = request.body;
      const byHand =
        given === undefined
          ? null
          : { valid: given.valid, checkedAt: new Date(given.checked_at).toISOString(), note: given.note };
      const meta = metaFor(command, { agencyId, tenantId });
      const { checkId, evidence, position } = await deps.billing.checkVatId({
        agencyId,
        tenantId,
        byHand,
        meta,
      });
      await takeEffect(deps, reply, position);
      return { id: checkId, ...evidence, position: String(position) };
    },
  );
}

function vatChecksRoute(app: App): void {
  app.get(
    '/api/tenants/:id/vat-checks',
    {
      schema: {
        summary: "List the checks of a tenant's VAT id with their evidence, newest first",
        tags: ['tenants'],
        params: z.object({ id: z.string().max(100) }),
        querystring: After,
        response: { 200: z.object({ data: z.array(VatCheck), next_cursor: z.null() }), ...refusalAnswers },
      },
    },
    async ({ deps, params: { id } }) => {
      await tenantOf(deps.db, id);
      const checks = await deps.billing.vatChecks(id);
      return {
        data: checks.map(({ checkId, evidence }) => ({ id: checkId, ...evidence })),
        next_cursor: null,
      };
    },
  );
}

function brandRoutes(app: App): void {
  const Answer = z.object({ version: z.number().describe('0: the plain one'), brand: AnyValue });
  app.get(
    '/api/agencies/:id/brand',
    {
      schema: {
        summary: 'Show what the documents of an agency look like',
        tags: ['agencies'],
        params: AgencyParams,
        querystring: After,
        response: { 200: Answer, ...refusalAnswers },
      },
    },
    async ({ deps, params: { id } }) => deps.billing.brand((await agencyOf(deps.db, id)).agency_id),
  );
  app.put(
    '/api/agencies/:id/brand',
    {
      schema: {
        summary: 'Give the documents of an agency a logo, a colour and words; issued ones keep theirs',
        tags: ['agencies'],
        params: AgencyParams,
        body: z.looseObject({
          accent: z.string().optional().describe('#rrggbb, dark enough to be read on white'),
          logo: AnyValue.optional().describe('{type: image/png or image/jpeg, data: base64}'),
          texts: AnyValue.optional().describe('By language (de, en): {intro, closing}'),
        }),
        response: { 200: Answer, ...refusalAnswers },
      },
    },
    async ({ deps, params: { id }, body }) =>
      deps.billing.keepBrand((await agencyOf(deps.db, id)).agency_id, body),
  );
}
