import { z } from 'zod';
import { formatCents } from '../domain/money.ts';
import type { HttpDeps } from './deps.ts';
import { Money } from './schemas.ts';

/** What becomes of the money of an invoice, as the API shows it. */
export const InvoiceCollection = z
  .object({
    provider: z.string().nullable().describe('stripe; null while nobody collects it'),
    reference: z.string().nullable().describe("The provider's own id of the invoice"),
    payment_link: z.string().nullable().describe('Where its recipient can pay it'),
    refunded: Money,
    dispute: z
      .object({ status: z.string().describe('open, won or lost'), reason: z.string() })
      .nullable()
      .describe('The newest one'),
    reminders: z.number().describe('How many went out'),
    reminded_on: z.string().nullable(),
  })
  .nullable()
  .describe('Null while it is a draft');

export async function collectionOf(
  { db, collection }: HttpDeps,
  invoiceId: string,
  currency: string,
): Promise<z.infer<typeof InvoiceCollection>> {
  const row = await db
    .selectFrom('collections')
    .selectAll()
    .where('invoice_id', '=', invoiceId)
    .executeTakeFirst();
  if (row === undefined) return null;
  const { dispute_status: status, dispute_reason: reason } = row;
  return {
    provider: row.provider,
    reference: row.reference,
    payment_link: await collection.paymentLink(invoiceId),
    refunded: { amount: formatCents(row.refunded_cents), currency },
    dispute: status === null ? null : { status, reason: reason ?? '' },
    reminders: Number(row.reminders),
    reminded_on: row.reminded_on,
  };
}
