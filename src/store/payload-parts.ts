import { z } from 'zod';
import type { Json, JsonObject } from '../domain/json.ts';
import { DISCOUNTED } from '../domain/discount.ts';
import { RATE_KINDS } from '../domain/extra-limits.ts';
import { ENVIRONMENTS } from '../domain/limits.ts';
import { PROJECT_ROLES } from '../domain/project.ts';
import { OTHER_UNITS, UNITS } from '../domain/spend.ts';
import { TENANT_ROLES } from '../domain/tenant.ts';
import { USER_ROLES } from '../domain/user.ts';

/** What the payloads of several events are made of, as event-schemas.ts reads them. */

export const Integer = z
  .string()
  .regex(/^-?\d+$/)
  .transform(BigInt);
export const Instant = z.string();
export const Count = z.number().int();
const JsonValue: z.ZodType<Json> = z.json();
export const JsonRecord: z.ZodType<JsonObject> = z.record(z.string(), JsonValue);
export const Model = z.object({
  id: z.string(),
  name: z.string(),
  params: JsonRecord,
  info: JsonRecord,
  sealed: z.string().nullable(),
});
export const EnvironmentName = z.enum(ENVIRONMENTS);
export const UnitName = z.enum(UNITS);

export const Budget = z.object({ nanos: Integer, window: z.string().nullable() });

export const Limits = z.object({
  requestsPerMinute: Count.nullable(),
  tokensPerMinute: Count.nullable(),
  parallelRequests: Count.nullable(),
  models: z.array(z.string()),
  budget: Budget.nullable(),
});

const ModelPrice = z.object({
  inputRate: Integer,
  cachedInputRate: Integer,
  outputRate: Integer,
  unitRates: z.partialRecord(z.enum(OTHER_UNITS), Integer).optional(),
  tiers: z
    .partialRecord(
      UnitName,
      z.object({
        mode: z.enum(['graduated', 'volume', 'package']),
        steps: z.array(z.object({ upTo: Integer.nullable(), rate: Integer })),
        packageSize: Integer,
      }),
    )
    .optional(),
});

const AgreedLimits = Limits.partial();
export const Agreed = z.object({
  limits: z.object({ production: AgreedLimits.optional(), staging: AgreedLimits.optional() }).optional(),
  tenantLimits: AgreedLimits.optional(),
  prices: z
    .object({ models: z.record(z.string(), ModelPrice), markupPercent: z.string().optional() })
    .optional(),
  discounts: z
    .array(
      z.object({
        name: z.string(),
        of: z.enum(DISCOUNTED),
        percent: z.string().nullable(),
        nanos: Integer,
        from: z.string(),
        until: z.string().nullable(),
      }),
    )
    .optional(),
});

export const MemberLimits = z.object({
  requestsPerMinute: Count.nullable(),
  tokensPerMinute: Count.nullable(),
  budget: Budget.nullable(),
});

const Extra = z.object({
  softBudgetNanos: Integer.nullable(),
  budgets: z.array(Budget),
  byModel: z.record(z.string(), MemberLimits),
});

export const KeyExtra = Extra.extend({
  budgetId: z.string().nullable(),
  temporary: z.object({ nanos: Integer, until: Instant }).nullable(),
  enforcedParams: z.array(z.string()),
  requestsKind: z.enum(RATE_KINDS).nullable(),
  tokensKind: z.enum(RATE_KINDS).nullable(),
  rotation: z.object({ interval: z.string(), dueAt: Instant }).nullable(),
});

export const Terms = z.object({
  plan: z.string(),
  planVersion: Count,
  currency: z.string(),
  monthlyFeeNanos: Integer,
  includedUsageNanos: Integer,
  prices: z.object({
    models: z.record(z.string(), ModelPrice),
    markupPercent: z.string().nullable(),
  }),
  limits: z.object({ production: Limits, staging: Limits }),
  tenantLimits: Limits,
  projectFeeNanos: Integer.optional(),
  includedTokens: Integer.optional(),
  includedRequests: Integer.optional(),
  commitmentNanos: Integer.optional(),
  feesInAdvance: z.boolean().optional(),
  overage: z
    .discriminatedUnion('policy', [
      z.object({ policy: z.literal('block') }),
      z.object({
        policy: z.literal('throttle'),
        requestsPerMinute: Count.nullable(),
        tokensPerMinute: Count.nullable(),
      }),
    ])
    .optional(),
  keyRules: z
    .object({
      lifetimeMax: z.string().nullable(),
      rotation: z.string().nullable(),
      keysMax: Count.nullable(),
      projectsMax: Count.nullable(),
    })
    .optional(),
  trialDays: Count.optional(),
  notice: z.string().optional(),
});

export const ContractVersion = z.object({
  contractId: z.string(),
  effectiveFrom: Instant,
  terms: Terms.nullable(),
  agreed: Agreed.nullable(),
});
/** An event of a contract, without what was agreed. */
export const ContractOnly = z.object({
  tenantId: z.string(),
  contractId: z.string(),
  effectiveFrom: Instant,
  planned: z.array(ContractVersion).optional(),
  included: z.array(z.object({ effectiveFrom: Instant, nanos: Integer })).optional(),
});

export const Agency = z.object({
  agencyId: z.string(),
  currency: z.string(),
  zone: z.string(),
  invoiceSeries: z.string(),
  contactVersion: Count,
});

export const KeySettings = z.object({
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

export const IdOnly = z.object({ id: z.string() });
export const Subject = IdOnly.extend({ limits: Limits, extra: Extra, options: JsonRecord });
export const BudgetedSubject = Subject.extend({ budgetId: z.string().nullable() });
export const User = BudgetedSubject.extend({ role: z.enum(USER_ROLES), contactVersion: Count });
export const Customer = BudgetedSubject.extend({ blocked: z.boolean(), contactVersion: Count });
export const Tag = BudgetedSubject.extend({ description: z.string().nullable() });
export const InvitationOnly = z.object({ invitationId: z.string() });

export const TenantSettings = z.object({
  limits: Limits.nullable(),
  extra: Extra,
  budgetId: z.string().nullable(),
  contactVersion: Count,
  options: JsonRecord,
});

export const TenantMember = z.object({
  tenantId: z.string(),
  userId: z.string(),
  role: z.enum(TENANT_ROLES),
  budget: Budget.nullable(),
});

export const ProjectSettings = z.object({
  nameVersion: Count,
  budgetId: z.string().nullable(),
  memberPermissions: z.array(z.string()).nullable(),
  memberLimits: MemberLimits,
  extra: Extra,
  options: JsonRecord,
});

export const ProjectMember = z.object({
  projectId: z.string(),
  userId: z.string(),
  role: z.enum(PROJECT_ROLES),
  limits: MemberLimits,
});
