import { z } from 'zod';
import { ENVIRONMENTS } from '../domain/limits.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import { OUTCOMES, UNITS } from '../domain/spend.ts';
import { VAT_CHECK_SOURCES } from '../domain/vat-check.ts';
import { TAX_CATEGORIES, TAX_STATUSES, TREATMENTS } from '../domain/tax.ts';
import type { EventOf, EventType } from '../events.ts';

/** The payload of every stored event type: how the newest version is read, and how older ones become it. */
interface Entry<T extends EventType> {
  /** Reads the newest payload version. */
  readonly read: z.ZodType<EventOf<T>['data']>;
  /** upcasts[0] turns version 1 into version 2, and so on. Never edit one; add the next. */
  readonly upcasts: readonly ((payload: JsonObject) => JsonObject)[];
}

const Integer = z
  .string()
  .regex(/^-?\d+$/)
  .transform(BigInt);
const Instant = z.string();
const Count = z.number().int();
const JsonValue: z.ZodType<Json> = z.json();
const JsonRecord: z.ZodType<JsonObject> = z.record(z.string(), JsonValue);
const EnvironmentName = z.enum(ENVIRONMENTS);
const UnitName = z.enum(UNITS);

const Limits = z.object({
  requestsPerMinute: Count.nullable(),
  tokensPerMinute: Count.nullable(),
  parallelRequests: Count.nullable(),
  models: z.array(z.string()),
  budget: z.object({ nanos: Integer, window: z.string().nullable() }).nullable(),
});

const Terms = z.object({
  plan: z.string(),
  planVersion: Count,
  currency: z.string(),
  monthlyFeeNanos: Integer,
  includedUsageNanos: Integer,
  prices: z.object({
    models: z.record(
      z.string(),
      z.object({ inputRate: Integer, cachedInputRate: Integer, outputRate: Integer }),
    ),
    markupPercent: z.string().nullable(),
  }),
  limits: z.object({ production: Limits, staging: Limits }),
  tenantLimits: Limits,
});

const Agency = z.object({
  agencyId: z.string(),
  currency: z.string(),
  zone: z.string(),
  invoiceSeries: z.string(),
  contactVersion: Count,
});

const KeySettings = z.object({
  alias: z.string().nullable(),
  userId: z.string().nullable(),
  projectId: z.string().nullable(),
  environment: EnvironmentName.nullable(),
  expiresAt: Instant.nullable(),
  aliases: z.record(z.string(), z.string()),
  allowedRoutes: z.array(z.string()),
  metadata: JsonRecord,
  options: JsonRecord,
});

const KeyOnly = z.object({ keyId: z.string() });
const TenantOnly = z.object({ tenantId: z.string() });
const ProjectOnly = z.object({ projectId: z.string() });

const Spend = z.object({
  requestId: z.string(),
  responseId: z.string().nullable(),
  keyId: z.string(),
  tokenHash: z.string(),
  projectId: z.string().nullable(),
  userId: z.string().nullable(),
  endUser: z.string().nullable(),
  tags: z.array(z.string()),
  route: z.string(),
  model: z.string(),
  deployment: z.string(),
  stream: z.boolean(),
  admittedAt: Instant,
  month: z.string(),
  outcome: z.enum(OUTCOMES),
  status: Count,
  usageSource: z.enum(['reported', 'estimated', 'none']),
  usage: z.object({
    inputTokens: Count,
    cachedInputTokens: Count,
    outputTokens: Count,
    reasoningTokens: Count,
  }),
  lines: z.array(
    z.object({
      unit: UnitName,
      quantity: Count,
      priceRate: Integer,
      priceNanos: Integer,
      costNanos: Integer,
    }),
  ),
  currency: z.string(),
  priceNanos: Integer,
  costNanos: Integer,
  durationMs: Count,
  firstByteMs: Count.nullable(),
});

const InvoiceOnly = z.object({ invoiceId: z.string() });

const LineTax = z.object({ category: z.enum(TAX_CATEGORIES), ratePercent: z.string() });
const TaxCase = z.object({ treatment: z.enum(TREATMENTS), evidence: z.string().nullable() });
const InvoiceDraft = z.object({
  invoiceId: z.string(),
  period: z.string(),
  currency: z.string(),
  taxCase: TaxCase,
  replaces: z.string().nullable(),
  lines: z.array(
    z.object({
      kind: z.enum(['fee', 'usage', 'included']),
      projectId: z.string().nullable(),
      model: z.string().nullable(),
      unit: UnitName.nullable(),
      serviceMonth: z.string(),
      quantity: Integer,
      priceRate: Integer.nullable(),
      nanos: Integer,
      netCents: Integer,
      tax: LineTax,
    }),
  ),
  taxes: z.array(LineTax.extend({ netCents: Integer, taxCents: Integer })),
  netCents: Integer,
  taxCents: Integer,
  grossCents: Integer,
});

const Seal = z.object({
  position: Integer,
  after: Integer,
  heads: Count,
  root: z.string(),
  order: z.string(),
  previousSeal: z.string(),
  sealedAt: Instant,
  keyId: z.string(),
  hash: z.string(),
  signature: z.string(),
});

const KeyHandOver = z.object({
  keyId: z.string(),
  publicKey: z.string(),
  previousKeyId: z.string().nullable(),
  validFrom: Instant,
  signature: z.string(),
  previousSignature: z.string().nullable(),
});

const AuditorOnly = z.object({ auditorId: z.string() });

/** Every invoice was domestic and at 19 %, and none replaced another. */
function withTaxOfLines(payload: JsonObject): JsonObject {
  const lines = payload['lines'] as readonly JsonObject[];
  return {
    ...payload,
    taxCase: { treatment: 'domestic', evidence: null },
    replaces: null,
    lines: lines.map((line) => ({ ...line, tax: { category: 'S', ratePercent: '19' } })),
  };
}

/** No date of payment had been agreed. */
function withoutDueDate(payload: JsonObject): JsonObject {
  return { ...payload, dueOn: null };
}

/** Every stored event type. The newest version is upcasts.length + 1. */
export const entries: { readonly [T in EventType]: Entry<T> } = {
  'agency.registered': { read: Agency, upcasts: [] },
  'agency.changed': { read: Agency, upcasts: [] },
  'plan.published': { read: z.object({ terms: Terms }), upcasts: [] },
  'tenant.onboarded': {
    read: z.object({ tenantId: z.string(), agencyId: z.string(), own: z.boolean(), contactVersion: Count }),
    upcasts: [],
  },
  'tenant.suspended': { read: TenantOnly.extend({ reason: z.string() }), upcasts: [] },
  'tenant.reinstated': { read: TenantOnly, upcasts: [] },
  'contract.signed': {
    read: TenantOnly.extend({ contractId: z.string(), effectiveFrom: Instant, terms: Terms }),
    upcasts: [],
  },
  'project.opened': {
    read: TenantOnly.extend({
      projectId: z.string(),
      environments: z.array(EnvironmentName),
      limits: Limits.nullable(),
    }),
    upcasts: [],
  },
  'project.blocked': { read: ProjectOnly, upcasts: [] },
  'project.unblocked': { read: ProjectOnly, upcasts: [] },
  'key.generated': {
    read: KeyOnly.extend({
      tenantId: z.string(),
      tokenHash: z.string(),
      keyName: z.string(),
      limits: Limits,
      settings: KeySettings,
    }),
    upcasts: [],
  },
  'key.limits-changed': { read: KeyOnly.extend({ limits: Limits }), upcasts: [] },
  'key.changed': { read: KeyOnly.extend({ settings: KeySettings }), upcasts: [] },
  'key.blocked': { read: KeyOnly, upcasts: [] },
  'key.unblocked': { read: KeyOnly, upcasts: [] },
  'key.rotated': {
    read: KeyOnly.extend({
      tokenHash: z.string(),
      keyName: z.string(),
      oldTokenHash: z.string(),
      graceEndsAt: Instant.nullable(),
    }),
    upcasts: [],
  },
  'key.deleted': { read: KeyOnly.extend({ tokenHash: z.string() }), upcasts: [] },
  'spend.recorded': { read: Spend, upcasts: [] },
  'period.closed': { read: z.object({ agencyId: z.string(), period: z.string() }), upcasts: [] },
  'number.assigned': { read: z.object({ invoiceId: z.string() }), upcasts: [] },
  'invoice.drafted': { read: InvoiceDraft, upcasts: [withTaxOfLines] },
  'invoice.finalized': {
    read: z.object({
      invoiceId: z.string(),
      number: z.string(),
      issuedOn: z.string(),
      dueOn: z.string().nullable(),
      documentHash: z.string(),
    }),
    upcasts: [withoutDueDate],
  },
  'invoice.sent': { read: InvoiceOnly.extend({ channel: z.string() }), upcasts: [] },
  'invoice.paid': {
    read: InvoiceOnly.extend({ paidOn: z.string(), method: z.string(), reference: z.string().nullable() }),
    upcasts: [],
  },
  'invoice.payment-failed': {
    read: InvoiceOnly.extend({ method: z.string(), reference: z.string().nullable(), reason: z.string() }),
    upcasts: [],
  },
  'invoice.cancelled': {
    read: InvoiceOnly.extend({
      reason: z.string(),
      cancellationId: z.string(),
      number: z.string(),
      issuedOn: z.string(),
      documentHash: z.string(),
      included: z.array(z.object({ month: z.string(), nanos: Integer })),
    }),
    upcasts: [],
  },
  'tax-status.declared': {
    read: z.object({ agencyId: z.string(), from: z.string(), status: z.enum(TAX_STATUSES) }),
    upcasts: [],
  },
  'vat-id.checked': {
    read: TenantOnly.extend({
      checkId: z.string(),
      valid: z.boolean(),
      source: z.enum(VAT_CHECK_SOURCES),
      checkedAt: Instant,
      vatIdHash: z.string(),
      evidenceHash: z.string(),
    }),
    upcasts: [],
  },
  'log.sealed': { read: Seal, upcasts: [] },
  'log.key-rotated': { read: KeyHandOver, upcasts: [] },
  'auditor.appointed': {
    read: AuditorOnly.extend({
      scope: z.object({ kind: z.enum(['agency', 'tenant']), id: z.string() }),
      tokenHash: z.string(),
      keyName: z.string(),
      expiresAt: Instant.nullable(),
    }),
    upcasts: [],
  },
  'auditor.dismissed': { read: AuditorOnly, upcasts: [] },
  'audit.consulted': {
    read: AuditorOnly.extend({ route: z.string(), subject: z.string().nullable() }),
    upcasts: [],
  },
};
