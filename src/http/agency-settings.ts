import type { FastifyReply } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { sql } from 'kysely';
import { z } from 'zod';
import { agency, type AgencySettings } from '../domain/agency.ts';
import { isIban } from '../domain/iban.ts';
import { canonicalJson, type JsonObject } from '../domain/json.ts';
import { isZone } from '../domain/local-time.ts';
import { TAX_STATUSES } from '../domain/tax.ts';
import { Refusal } from '../errors.ts';
import { transact } from '../transact.ts';
import { logoOf } from './agency-brand.ts';
import { commandOf, metaFor, takeEffect } from './command.ts';
import type { App, HttpDeps } from './deps.ts';
import { agencyOf, type AgencyRow, type Db, recordOf } from './read.ts';
import { After, AnyValue, refusalAnswers } from './schemas.ts';
import { settle } from './settle.ts';

/**
 * Who issues the invoices, as people change it. From the first change on the settings AGENCY_… of the
 * environment are not applied any more: see bootstrap.ts.
 */
const Params = z.object({ id: z.string().max(100) });
const Text = z.string().trim().min(1).max(200);
const Optional = Text.nullable().default(null);

const Contact = z
  .strictObject({
    name: Text.describe('Legal name'),
    street: Text,
    postal_code: z.string().trim().min(1).max(20),
    city: Text,
    country: z.string().regex(/^[A-Z]{2}$/, 'is not a country code such as DE'),
    email: z.email().max(254),
    vat_id: z
      .string()
      .regex(/^[A-Z]{2}[A-Z0-9]{2,13}$/, 'is not a VAT id such as DE123456789')
      .nullable()
      .default(null),
    tax_number: Optional,
    contact_name: Optional.describe('Whom to ask; XRechnung needs it, and the phone number'),
    phone: Optional,
    iban: z
      .string()
      .transform((text) => text.replaceAll(/\s/g, '').toUpperCase())
      .refine(isIban, 'is not an IBAN: its check digits are wrong')
      .nullable()
      .default(null),
    bic: z
      .string()
      .regex(/^[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?$/, 'is not a BIC such as COBADEFF')
      .nullable()
      .default(null),
    bank: Optional,
    payment_days: z.number().int().min(0).max(365).default(14),
    register: Optional.describe('Court and number of the commercial register'),
    management: Optional,
    website: Optional,
  })
  .refine(({ vat_id: vat, tax_number: number }) => vat !== null || number !== null, {
    path: ['vat_id'],
    message: 'an invoice needs the VAT id or the tax number',
  });

const Changed = z.object({
  id: z.string(),
  name: z.string(),
  currency: z.string(),
  zone: z.string(),
  invoice_series: z.string(),
  position: z.string(),
});

export function agencySettingsRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    changeRoute(app, deps);
    taxStatusRoute(app, deps);
    logoRoute(app, deps);
    done();
  };
}

function changeRoute(app: App, deps: HttpDeps): void {
  app.put(
    '/api/agencies/:id',
    {
      schema: {
        summary: 'Change the legal data of an agency, its zone, currency and invoice series',
        description:
          'Invoices that were issued keep what stands on them. From then on AGENCY_… in the environment is not applied any more.',
        tags: ['agencies'],
        params: Params,
        body: z.strictObject({
          contact: Contact,
          currency: z.string().regex(/^[A-Z]{3}$/, 'is not a currency code such as EUR'),
          zone: z.string().max(60).refine(isZone, 'is not a time zone such as Europe/Berlin'),
          invoice_series: z.string().regex(/^[A-Z0-9]{1,10}$/, 'is not 1 to 10 capital letters or digits'),
        }),
        response: { 200: Changed, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      const row = await agencyOf(deps.db, request.params.id);
      const { contact, currency, zone, invoice_series: invoiceSeries } = request.body;
      if (currency !== row.currency) await requireNoContracts(deps.db, row);
      const { agency_id: agencyId } = row;
      const contactVersion = await keepContact(deps.db, agencyId, contact);
      const settings: AgencySettings = { agencyId, currency, zone, invoiceSeries, contactVersion };
      const { position } = await transact(
        deps.store,
        agency,
        `agency-${agencyId}`,
        { type: 'change', settings },
        metaFor(command, { agencyId, tenantId: null }),
        { input: command.input },
      );
      await takeEffect(deps, reply, position);
      return {
        id: agencyId,
        name: contact.name,
        currency,
        zone,
        invoice_series: invoiceSeries,
        position: String(position),
      };
    },
  );
}

function taxStatusRoute(app: App, deps: HttpDeps): void {
  app.get(
    '/api/agencies/:id/tax-status',
    {
      schema: {
        summary: 'The tax statuses of an agency with the day from which each holds, as they were declared',
        tags: ['agencies'],
        params: Params,
        querystring: After,
        response: {
          200: z.object({
            data: z.array(z.object({ from: z.string(), status: z.enum(TAX_STATUSES) })),
            next_cursor: z.null(),
          }),
          ...refusalAnswers,
        },
      },
    },
    async ({ params: { id } }) => {
      const { agency_id: agencyId } = await agencyOf(deps.db, id);
      return { data: [...(await deps.billing.taxStatuses(agencyId))], next_cursor: null };
    },
  );
}

function logoRoute(app: App, deps: HttpDeps): void {
  app.get(
    '/api/agencies/:id/logo',
    {
      config: { settles: false },
      schema: {
        summary: 'The logo of an agency, for the consoles of its people and of its tenants',
        tags: ['agencies'],
        params: Params,
        querystring: z.object({ v: z.string().max(20).optional().describe('Version of the brand') }),
        response: { 200: AnyValue.describe('image/png or image/jpeg'), ...refusalAnswers },
      },
    },
    async ({ params: { id }, query }, reply) => {
      const { agency_id: agencyId } = await agencyOf(deps.db, id);
      const logo = logoOf((await deps.billing.brand(agencyId)).brand);
      if (logo === null) throw new Refusal('not_found', { what: 'logo' });
      // A version never changes; without one the answer may be another one tomorrow.
      if (query.v !== undefined) void reply.header('cache-control', 'private, max-age=31536000, immutable');
      return (reply as FastifyReply).type(logo.type).send(Buffer.from(logo.data, 'base64'));
    },
  );
}

/** Terms, invoices and recorded spend are in the agency's currency: nothing would convert them. */
async function requireNoContracts(db: Db, { agency_id: agencyId, currency }: AgencyRow): Promise<void> {
  const { count } = await db
    .selectFrom('tenants')
    .select((eb) => eb.fn.countAll<bigint>().as('count'))
    .where('agency_id', '=', agencyId)
    .where('terms', 'is not', null)
    .executeTakeFirstOrThrow();
  if (count > 0n) throw new Refusal('currency_in_use', { currency }, { param: 'currency' });
}

/** Keeps a contact that differs from the newest one as the next version; returns the newest version. */
async function keepContact(db: Db, agencyId: string, contact: JsonObject): Promise<number> {
  const newest = await db
    .selectFrom('contacts')
    .select(['version', 'data'])
    .where('subject_id', '=', agencyId)
    .orderBy('version', 'desc')
    .executeTakeFirst();
  if (newest !== undefined && canonicalJson(recordOf(newest.data)) === canonicalJson(contact))
    return newest.version;
  const version = (newest?.version ?? 0) + 1;
  const { numInsertedOrUpdatedRows: kept = 0n } = await db
    .insertInto('contacts')
    .values({ subject_id: agencyId, version, data: sql`${JSON.stringify(contact)}::jsonb` })
    .onConflict((conflict) => conflict.columns(['subject_id', 'version']).doNothing())
    .executeTakeFirst();
  if (kept === 0n) throw new Refusal('stream_changed');
  return version;
}
