import { z } from 'zod';
import { ENVIRONMENTS } from '../domain/limits.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import { RATE_KINDS } from '../domain/extra-limits.ts';
import { PROJECT_ROLES } from '../domain/project.ts';
import { OUTCOMES, UNITS } from '../domain/spend.ts';
import { TENANT_ROLES } from '../domain/tenant.ts';
import { USER_ROLES } from '../domain/user.ts';
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

const Budget = z.object({ nanos: Integer, window: z.string().nullable() });

const Limits = z.object({
  requestsPerMinute: Count.nullable(),
  tokensPerMinute: Count.nullable(),
  parallelRequests: Count.nullable(),
  models: z.array(z.string()),
  budget: Budget.nullable(),
});

const MemberLimits = z.object({
  requestsPerMinute: Count.nullable(),
  tokensPerMinute: Count.nullable(),
  budget: Budget.nullable(),
});

const Extra = z.object({
  softBudgetNanos: Integer.nullable(),
  budgets: z.array(Budget),
  byModel: z.record(z.string(), MemberLimits),
});

const KeyExtra = Extra.extend({
  budgetId: z.string().nullable(),
  temporary: z.object({ nanos: Integer, until: Instant }).nullable(),
  enforcedParams: z.array(z.string()),
  requestsKind: z.enum(RATE_KINDS).nullable(),
  tokensKind: z.enum(RATE_KINDS).nullable(),
  rotation: z.object({ interval: z.string(), dueAt: Instant }).nullable(),
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
  extra: KeyExtra.optional(),
});

const IdOnly = z.object({ id: z.string() });
const Subject = IdOnly.extend({ limits: Limits, extra: Extra, options: JsonRecord });
const BudgetedSubject = Subject.extend({ budgetId: z.string().nullable() });
const User = BudgetedSubject.extend({ role: z.enum(USER_ROLES), contactVersion: Count });
const Customer = BudgetedSubject.extend({ blocked: z.boolean(), contactVersion: Count });
const Tag = BudgetedSubject.extend({ description: z.string().nullable() });
const InvitationOnly = z.object({ invitationId: z.string() });

const TenantSettings = z.object({
  limits: Limits.nullable(),
  extra: Extra,
  budgetId: z.string().nullable(),
  contactVersion: Count,
  options: JsonRecord,
});

const TenantMember = z.object({
  tenantId: z.string(),
  userId: z.string(),
  role: z.enum(TENANT_ROLES),
  budget: Budget.nullable(),
});

const ProjectSettings = z.object({
  nameVersion: Count,
  budgetId: z.string().nullable(),
  memberPermissions: z.array(z.string()).nullable(),
  memberLimits: MemberLimits,
  extra: Extra,
  options: JsonRecord,
});

const ProjectMember = z.object({
  projectId: z.string(),
  userId: z.string(),
  role: z.enum(PROJECT_ROLES),
  limits: MemberLimits,
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

const InvoiceDraft = z.object({
  invoiceId: z.string(),
  period: z.string(),
  currency: z.string(),
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
    }),
  ),
  taxes: z.array(
    z.object({ category: z.literal('S'), ratePercent: z.string(), netCents: Integer, taxCents: Integer }),
  ),
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
  'key.spend-adjusted': {
    read: KeyOnly.extend({ byNanos: Integer, fromNanos: Integer, toNanos: Integer }),
    upcasts: [],
  },
  'key.deleted': { read: KeyOnly.extend({ tokenHash: z.string() }), upcasts: [] },
  'spend.recorded': { read: Spend, upcasts: [] },
  'period.closed': { read: z.object({ agencyId: z.string(), period: z.string() }), upcasts: [] },
  'number.assigned': { read: z.object({ invoiceId: z.string() }), upcasts: [] },
  'invoice.drafted': { read: InvoiceDraft, upcasts: [] },
  'invoice.finalized': {
    read: z.object({
      invoiceId: z.string(),
      number: z.string(),
      issuedOn: z.string(),
      documentHash: z.string(),
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
  'tag.defined': { read: Tag, upcasts: [] },
  'tag.changed': { read: Tag, upcasts: [] },
  'tag.removed': { read: IdOnly, upcasts: [] },
};
