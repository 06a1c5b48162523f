import { z } from 'zod';
import { ALERT_CHANNELS, ALERT_KINDS } from '../domain/alert-settings.ts';
import { PAYMENT_METHODS } from '../domain/billing-settings.ts';
import { Count, Integer } from './payload-parts.ts';

/** The payloads of what happens to the money of invoices, as event-schemas.ts reads them. */
const InvoiceOnly = z.object({ invoiceId: z.string() });

export const CollectionOpened = InvoiceOnly.extend({
  provider: z.literal('stripe'),
  accountId: z.string(),
  reference: z.string(),
});

export const Refund = InvoiceOnly.extend({ refundId: z.string(), cents: Integer, on: z.string() });

export const RefundFailure = InvoiceOnly.extend({
  refundId: z.string(),
  cents: Integer,
  reason: z.string(),
});

export const Dispute = InvoiceOnly.extend({ disputeId: z.string(), cents: Integer, reason: z.string() });

export const DisputeEnd = InvoiceOnly.extend({
  disputeId: z.string(),
  outcome: z.enum(['won', 'lost']),
  reason: z.string(),
});

export const Reminder = InvoiceOnly.extend({ level: Count, on: z.string() });

export const AgencyAlerts = z.object({
  agencyId: z.string(),
  targets: z.array(
    z.object({
      id: z.string(),
      channel: z.enum(ALERT_CHANNELS),
      alerts: z.array(z.enum(ALERT_KINDS)),
      language: z.enum(['de', 'en']),
      active: z.boolean(),
      addressVersion: Count,
    }),
  ),
});

export const AgencyBilling = z.object({
  agencyId: z.string(),
  settings: z.object({
    mail: z.boolean(),
    reminderDays: z.array(Count),
    suspendAfterDays: Count.nullable(),
    invoiceRun: z.object({ from: z.string(), graceHours: Count }).nullable(),
    stripe: z
      .object({
        accountId: z.string(),
        mode: z.enum(['test', 'live']),
        methods: z.array(z.enum(PAYMENT_METHODS)),
      })
      .nullable(),
  }),
});
