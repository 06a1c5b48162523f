import type { FastifyReply } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { isSigned, signedPath } from '../download-links.ts';
import { Refusal } from '../errors.ts';
import { INVOICE_FILES, type InvoiceFileKind, type ServedFile } from './billing-desk.ts';
import type { App } from './deps.ts';
import { requireInvoiceSight } from './invoice-sight.ts';
import { After, AnyValue, refusalAnswers } from './schemas.ts';

/** The files of an invoice, for the administrator and, by a signed link that expires, for its recipient. */
const Params = z.object({ id: z.string().max(100).describe('Id or number of an invoice or Stornorechnung') });
const TheFile = AnyValue.describe('The file');
const LINK_MINUTES_MAX = 60 * 24 * 90;
const LINK_MINUTES_DEFAULT = 60 * 24 * 7;

export function invoiceFileRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    fileRoute(app, 'pdf', 'pdf', 'The invoice as PDF/A-3 with its XML inside (ZUGFeRD)');
    fileRoute(app, 'statement.csv', 'statement-csv', 'The usage behind an invoice, exact, as CSV');
    fileRoute(app, 'statement.pdf', 'statement-pdf', 'The usage behind an invoice, by project, as PDF');
    xmlRoute(app);
    linkRoute(app);
    downloadRoute(app);
    done();
  };
}

function fileRoute(app: App, path: string, kind: InvoiceFileKind, summary: string): void {
  app.get(
    `/api/invoices/:id/${path}`,
    {
      schema: {
        summary,
        tags: ['invoices'],
        params: Params,
        querystring: After,
        response: { 200: TheFile, ...refusalAnswers },
      },
    },
    async ({ deps, caller, params: { id } }, reply) => {
      await requireInvoiceSight(deps, caller, id);
      return sendFile(reply, await deps.billing.file(id, kind));
    },
  );
}

function xmlRoute(app: App): void {
  app.get(
    '/api/invoices/:id/xml',
    {
      schema: {
        summary: 'The invoice as EN 16931 XML: plain CII, or XRechnung in either syntax',
        tags: ['invoices'],
        params: Params,
        querystring: After.extend({
          format: z.enum(['cii', 'xrechnung-cii', 'xrechnung-ubl']).default('cii'),
        }),
        response: { 200: TheFile, ...refusalAnswers },
      },
    },
    async ({ deps, caller, params: { id }, query: { format } }, reply) => {
      await requireInvoiceSight(deps, caller, id);
      return sendFile(reply, await deps.billing.file(id, format));
    },
  );
}

function linkRoute(app: App): void {
  app.post(
    '/api/invoices/:id/links',
    {
      schema: {
        summary: 'Make a link to a file of an invoice that works without a key until it expires',
        tags: ['invoices'],
        params: Params,
        body: z.strictObject({
          file: z.enum(INVOICE_FILES).default('pdf'),
          minutes: z.number().int().min(1).max(LINK_MINUTES_MAX).default(LINK_MINUTES_DEFAULT),
        }),
        response: {
          200: z.object({ path: z.string().describe('On this server'), expires_at: z.string() }),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, params: { id }, body: { file, minutes } }) => {
      await deps.billing.file(id, file);
      const expires = String(Math.floor(Date.parse(deps.now()) / 1000) + minutes * 60);
      const path = signedPath(deps.serverSecret, { id, file, expires });
      return { path, expires_at: new Date(Number(expires) * 1000).toISOString() };
    },
  );
}

function downloadRoute(app: App): void {
  app.get(
    '/api/downloads/:id/:file',
    {
      config: { access: 'public' },
      schema: {
        summary: 'Download a file of an invoice by a signed link',
        tags: ['invoices'],
        params: Params.extend({ file: z.enum(INVOICE_FILES) }),
        querystring: z.object({
          expires: z
            .string()
            .regex(/^\d{1,12}$/)
            .describe('Unix seconds'),
          signature: z.string().max(100),
        }),
        response: { 200: TheFile, ...refusalAnswers },
      },
    },
    async ({ deps, params: { id, file }, query: { expires, signature } }, reply) => {
      const isOurs = isSigned(deps.serverSecret, { id, file, expires }, signature);
      if (!isOurs || Number(expires) * 1000 <= Date.parse(deps.now())) throw new Refusal('link_invalid');
      return sendFile(reply, await deps.billing.file(id, file));
    },
  );
}

export function sendFile(reply: FastifyReply, { name, mediaType, bytes }: ServedFile): FastifyReply {
  return reply
    .header('content-type', mediaType)
    .header('content-disposition', `attachment; filename="${name.replaceAll(/[^\w.-]/g, '_')}"`)
    .send(bytes);
}
