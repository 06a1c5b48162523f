import { z } from 'zod';
import { DISCOUNTED } from '../domain/discount.ts';
import { LINE_KINDS } from '../domain/invoice.ts';
import type { JsonObject } from '../domain/json.ts';
import { OTHER_UNITS, OUTCOMES } from '../domain/spend.ts';
import { TAX_CATEGORIES, TAX_STATUSES, TREATMENTS } from '../domain/tax.ts';
import { VAT_CHECK_SOURCES } from '../domain/vat-check.ts';
import type { EventOf, EventType } from '../events.ts';
import {
  Agency,
  Agreed,
  ContractOnly,
  ContractVersion,
  Count,
  Customer,
  EnvironmentName,
  IdOnly,
  Instant,
  Integer,
  InvitationOnly,
  JsonRecord,
  Model,
  KeySettings,
  Limits,
  ProjectMember,
  ProjectSettings,
  Subject,
  Tag,
  TenantMember,
  TenantSettings,
  Terms,
  UnitName,
  User,
} from './payload-parts.ts';

import {
  AgencyAlerts,
  AgencyBilling,
  CollectionOpened,
  Dispute,
  DisputeEnd,
  Refund,
  RefundFailure,
  Reminder,
} from './payment-schemas.ts';

/** The payload of every stored event type: how the newest version is read, and how older ones become it. */
interface Entry<T extends EventType> {
  /** Reads the newest payload version. */
  readonly read: z.ZodType<EventOf<T>['data']>;
  /** upcasts[0] turns version 1 into version 2, and so on. Never edit one; add the next. */
  readonly upcasts: readonly ((payload: JsonObject) => JsonObject)[];
}

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
    units: z.partialRecord(z.enum(OTHER_UNITS), Count).optional(),
  }),
  rawUsage: JsonRecord.optional(),
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
  rules: z.literal(2).optional(),
  currency: z.string(),
  taxCase: TaxCase,
  replaces: z.string().nullable(),
  lines: z.array(
    z.object({
      kind: z.enum(LINE_KINDS),
      projectId: z.string().nullable(),
      model: z.string().nullable(),
      unit: UnitName.nullable(),
      serviceMonth: z.string(),
      from: z.string().optional(),
      to: z.string().optional(),
      quantity: Integer,
      requests: Integer.optional(),
      discount: z
        .object({ name: z.string(), of: z.enum(DISCOUNTED), percent: z.string().nullable() })
        .optional(),
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
    read: ContractOnly.extend({ terms: Terms, agreed: Agreed.optional() }),
    upcasts: [],
  },
  'contract.amended': {
    read: ContractOnly.extend({ terms: Terms, agreed: Agreed.optional() }),
    upcasts: [],
  },
  'contract.ended': { read: ContractOnly, upcasts: [] },
  'contract.applied': {
    read: TenantOnly.extend({
      version: ContractVersion.nullable(),
      planned: z.array(ContractVersion),
      paused: z.boolean(),
    }),
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
  'tenant.changed': { read: TenantOnly.extend({ settings: TenantSettings }), upcasts: [] },
  'tenant.closed': { read: TenantOnly, upcasts: [] },
  'tenant.member-added': { read: TenantMember, upcasts: [] },
  'tenant.member-changed': { read: TenantMember, upcasts: [] },
  'tenant.member-removed': { read: TenantOnly.extend({ userId: z.string() }), upcasts: [] },
  'project.changed': {
    read: ProjectOnly.extend({ limits: Limits.nullable(), settings: ProjectSettings }),
    upcasts: [],
  },
  'project.closed': { read: ProjectOnly, upcasts: [] },
  'project.spend-adjusted': {
    read: ProjectOnly.extend({ byNanos: Integer, fromNanos: Integer, toNanos: Integer }),
    upcasts: [],
  },
  'project.member-added': { read: ProjectMember, upcasts: [] },
  'project.member-changed': { read: ProjectMember, upcasts: [] },
  'project.member-removed': { read: ProjectOnly.extend({ userId: z.string() }), upcasts: [] },
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
  'key.limits-changed': {
    read: KeyOnly.extend({ limits: Limits, pausedParallel: Count.nullable().optional() }),
    upcasts: [],
  },
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
  'key.spend-adjusted': {
    read: KeyOnly.extend({ byNanos: Integer, fromNanos: Integer, toNanos: Integer }),
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
  'invoice.collection-opened': { read: CollectionOpened, upcasts: [] },
  'invoice.refunded': { read: Refund, upcasts: [] },
  'invoice.refund-failed': { read: RefundFailure, upcasts: [] },
  'invoice.disputed': { read: Dispute, upcasts: [] },
  'invoice.dispute-closed': { read: DisputeEnd, upcasts: [] },
  'invoice.reminded': { read: Reminder, upcasts: [] },
  'alert-settings.changed': { read: AgencyAlerts, upcasts: [] },
  'billing-settings.changed': { read: AgencyBilling, upcasts: [] },
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
  'user.registered': { read: User, upcasts: [] },
  'user.changed': { read: User, upcasts: [] },
  'user.removed': { read: IdOnly, upcasts: [] },
  'invitation.issued': {
    read: InvitationOnly.extend({ userId: z.string(), tokenHash: z.string(), expiresAt: Instant }),
    upcasts: [],
  },
  'invitation.accepted': { read: InvitationOnly, upcasts: [] },
  'invitation.withdrawn': { read: InvitationOnly, upcasts: [] },
  'customer.registered': { read: Customer, upcasts: [] },
  'customer.changed': { read: Customer, upcasts: [] },
  'customer.removed': { read: IdOnly, upcasts: [] },
  'budget.defined': { read: Subject, upcasts: [] },
  'budget.changed': { read: Subject, upcasts: [] },
  'budget.removed': { read: IdOnly, upcasts: [] },
  'model.added': { read: Model, upcasts: [] },
  'model.changed': { read: Model, upcasts: [] },
  'model.removed': { read: IdOnly, upcasts: [] },
  'tag.defined': { read: Tag, upcasts: [] },
  'tag.changed': { read: Tag, upcasts: [] },
  'tag.removed': { read: IdOnly, upcasts: [] },
};
