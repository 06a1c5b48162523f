import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { type BillingSettings, PAYMENT_METHODS } from '../domain/billing-settings.ts';
import { isPaymentSigned } from '../download-links.ts';
import { Refusal } from '../errors.ts';
import { commandOf, metaFor, takeEffect } from './command.ts';
import type { App, HttpDeps } from './deps.ts';
import { agencyOf } from './read.ts';
import { After, AnyValue, refusalAnswers } from './schemas.ts';
import { settle } from './settle.ts';

/** How an agency delivers its invoices and gets its money, and what its payment provider tells. */
const AgencyParams = z.object({ id: z.string().max(100) });
const Days = z.number().int().min(0).max(365);

const Settings = z
  .object({
    agency_id: z.string(),
    mail: z.boolean().describe('Whether invoices and reminders go out by e-mail'),
    reminder_days: z
      .array(z.number())
      .describe('Days after the due date of each reminder; [] reminds nobody'),
    suspend_after_days: z
      .number()
      .nullable()
      .describe('Days from the last reminder until the keys are suspended; null never'),
    invoice_run: z
      .object({ from: z.string(), grace_hours: z.number() })
      .nullable()
      .describe('Months from `from` on are invoiced by themselves, so long after they end; null: by hand'),
    stripe: z
      .object({ account_id: z.string(), mode: z.enum(['test', 'live']), methods: z.array(z.string()) })
      .nullable()
      .describe('Who collects; its secrets are never shown'),
  })
  .meta({ id: 'BillingSettings' });

const Changed = Settings.extend({ position: z.string() });

export function collectionRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    readRoute(app);
    changeRoute(app, deps);
    stripeRoute(app, deps);
    stripeRemovalRoute(app, deps);
    paymentRoute(app);
    void app.register(webhookRoute());
    done();
  };
}

function shown(agencyId: string, settings: BillingSettings): z.infer<typeof Settings> {
  const { mail, reminderDays, suspendAfterDays, invoiceRun, stripe } = settings;
  return {
    agency_id: agencyId,
    mail,
    reminder_days: [...reminderDays],
    suspend_after_days: suspendAfterDays,
    invoice_run: invoiceRun === null ? null : { from: invoiceRun.from, grace_hours: invoiceRun.graceHours },
    stripe:
      stripe === null
        ? null
        : { account_id: stripe.accountId, mode: stripe.mode, methods: [...stripe.methods] },
  };
}

function readRoute(app: App): void {
  app.get(
    '/api/agencies/:id/billing',
    {
      schema: {
        summary: 'Show how an agency delivers its invoices and gets its money',
        tags: ['agencies'],
        params: AgencyParams,
        querystring: After,
        response: { 200: Settings, ...refusalAnswers },
      },
    },
    async ({ deps, params: { id } }) => {
      const { agency_id: agencyId } = await agencyOf(deps.db, id);
      return shown(agencyId, await deps.collection.settings(agencyId));
    },
  );
}

function changeRoute(app: App, deps: HttpDeps): void {
  app.put(
    '/api/agencies/:id/billing',
    {
      schema: {
        summary: 'Change reminders, suspension, mails and the invoice run that comes by itself',
        description: 'What is left out stays as it is.',
        tags: ['agencies'],
        params: AgencyParams,
        body: z.strictObject({
          mail: z.boolean().optional(),
          reminder_days: z
            .array(Days.min(1))
            .max(10)
            .refine((days) => days.every((day, i) => i === 0 || day > days[i - 1]!), 'has to ascend')
            .optional(),
          suspend_after_days: Days.nullable().optional(),
          invoice_run: z
            .strictObject({ grace_hours: z.number().int().min(0).max(600) })
            .nullable()
            .optional(),
        }),
        response: { 200: Changed, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      const { agency_id: agencyId } = await agencyOf(deps.db, request.params.id);
      const { mail, reminder_days: reminderDays, suspend_after_days: suspendAfterDays } = request.body;
      const { invoice_run: run } = request.body;
      const { position } = await deps.collection.changeSettings(
        agencyId,
        {
          ...(mail === undefined ? {} : { mail }),
          ...(reminderDays === undefined ? {} : { reminderDays }),
          ...(suspendAfterDays === undefined ? {} : { suspendAfterDays }),
          ...(run === undefined ? {} : { invoiceRun: run === null ? null : { graceHours: run.grace_hours } }),
        },
        metaFor(command, { agencyId, tenantId: null }),
      );
      await takeEffect(deps, reply, position);
      return { ...shown(agencyId, await deps.collection.settings(agencyId)), position: String(position) };
    },
  );
}

function stripeRoute(app: App, deps: HttpDeps): void {
  app.put(
    '/api/agencies/:id/stripe',
    {
      schema: {
        summary: "Have an agency's invoices collected by its own Stripe account",
        description:
          'The key is tried before it is kept, sealed, and never shown again. Point a webhook of the account to /api/stripe/webhook/{agency}.',
        tags: ['agencies'],
        params: AgencyParams,
        body: z.strictObject({
          secret_key: z
            .string()
            .regex(/^(sk|rk)_(test|live)_\w{8,200}$/, 'is not a secret or restricted key of Stripe'),
          webhook_secret: z
            .string()
            .regex(/^whsec_[\w+/=]{8,200}$/, 'is not the signing secret of a webhook'),
          methods: z
            .array(z.enum(PAYMENT_METHODS))
            .min(1)
            .default([...PAYMENT_METHODS]),
        }),
        response: { 200: Changed, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      const { agency_id: agencyId } = await agencyOf(deps.db, request.params.id);
      const { secret_key: secretKey, webhook_secret: webhookSecret, methods } = request.body;
      const meta = metaFor(command, { agencyId, tenantId: null });
      const given = { secretKey, webhookSecret, methods };
      const { position } = await deps.collection.setStripe(agencyId, given, meta);
      await takeEffect(deps, reply, position);
      return { ...shown(agencyId, await deps.collection.settings(agencyId)), position: String(position) };
    },
  );
}

function stripeRemovalRoute(app: App, deps: HttpDeps): void {
  app.delete(
    '/api/agencies/:id/stripe',
    {
      schema: {
        summary: 'Have nobody collect the invoices of an agency from here on; forgets the secrets',
        tags: ['agencies'],
        params: AgencyParams,
        response: { 200: Changed, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      const { agency_id: agencyId } = await agencyOf(deps.db, request.params.id);
      const meta = metaFor(command, { agencyId, tenantId: null });
      const { position } = await deps.collection.removeStripe(agencyId, meta);
      await takeEffect(deps, reply, position);
      return { ...shown(agencyId, await deps.collection.settings(agencyId)), position: String(position) };
    },
  );
}

function paymentRoute(app: App): void {
  app.get(
    '/api/payments/:id',
    {
      config: { access: 'public' },
      schema: {
        summary: 'Leads from the address on an invoice to the page where it can be paid',
        tags: ['invoices'],
        params: z.object({ id: z.string().max(100) }),
        querystring: z.object({ signature: z.string().max(100) }),
        response: { 302: AnyValue.describe('The page'), ...refusalAnswers },
      },
    },
    async ({ deps, params: { id }, query: { signature } }, reply) => {
      if (!isPaymentSigned(deps.serverSecret, id, signature)) throw new Refusal('link_invalid');
      return reply.redirect(await deps.collection.paymentPage(id), 302);
    },
  );
}

/** The signature is over the bytes as they came, so this route reads its body as text. */
function webhookRoute(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, parsed) =>
      parsed(null, body),
    );
    app.post(
      '/api/stripe/webhook/:agency',
      {
        config: { access: 'public' },
        schema: {
          summary: 'Where Stripe tells what became of payments; only what it has signed is heard',
          tags: ['invoices'],
          params: z.object({ agency: z.string().max(100) }),
          body: z.string().describe('An event as Stripe sends it'),
          response: { 200: z.object({ outcome: z.string() }), ...refusalAnswers },
        },
      },
      async ({ deps, params, body, headers }) => {
        const signature = headers['stripe-signature'];
        const message = { body, signature: typeof signature === 'string' ? signature : '' };
        return await deps.collection.receive(params.agency, message);
      },
    );
    done();
  };
}
