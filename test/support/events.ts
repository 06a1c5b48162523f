/** Valid events for tests, one builder per type; what a test is about is given as overrides of the payload. */
import { createHash } from 'node:crypto';
import type { AgencySettings } from '../../src/domain/agency.ts';
import { NO_EXTRA } from '../../src/domain/extra-limits.ts';
import type { InvoiceDraft } from '../../src/domain/invoice.ts';
import { DOMESTIC } from '../../src/domain/tax.ts';
import type { KeySettings } from '../../src/domain/key.ts';
import { type Limits, UNLIMITED } from '../../src/domain/limits.ts';
import type { Terms } from '../../src/domain/plan.ts';
import { NO_MEMBER_LIMITS, NO_PROJECT_SETTINGS } from '../../src/domain/project.ts';
import type { DomainEvent, EventOf, EventType, NewEvent, Recorded } from '../../src/events.ts';
import { ZERO_HASH } from '../../src/store/event-store.ts';

export const AT = '2026-11-20T10:00:00.000Z';
/** The hash of the secret of every key here that names no other. */
export const TOKEN_HASH = sha256('sk-test');

type Overrides<T extends EventType> = Partial<EventOf<T>['data']>;

export function limits(overrides: Partial<Limits> = {}): Limits {
  return { ...UNLIMITED, requestsPerMinute: 60, tokensPerMinute: 10_000, parallelRequests: 4, ...overrides };
}

export function terms(overrides: Partial<Terms> = {}): Terms {
  return {
    plan: 'studio',
    planVersion: 1,
    currency: 'EUR',
    monthlyFeeNanos: 49_000_000_000n,
    includedUsageNanos: 10_000_000_000n,
    prices: {
      models: {
        'gpt-4o-mini': {
          inputRate: 150_000_000n,
          cachedInputRate: 75_000_000n,
          outputRate: 600_000_000n,
        },
      },
      markupPercent: '20',
    },
    limits: {
      production: limits({ budget: { nanos: 250_000_000_000n, window: '1mo' } }),
      staging: limits({ requestsPerMinute: 6 }),
    },
    tenantLimits: UNLIMITED,
    ...overrides,
  };
}

export function keySettings(overrides: Partial<KeySettings> = {}): KeySettings {
  return {
    alias: null,
    userId: null,
    projectId: 'prj_1',
    environment: 'production',
    expiresAt: null,
    aliases: {},
    allowedRoutes: [],
    metadata: {},
    options: {},
    ...overrides,
  };
}

function agencySettings(overrides: Partial<AgencySettings>): AgencySettings {
  const settings = { currency: 'EUR', zone: 'Europe/Berlin', invoiceSeries: 'RE', contactVersion: 1 };
  return { agencyId: 'age_1', ...settings, ...overrides };
}

export function agencyRegistered(data: Overrides<'agency.registered'> = {}): EventOf<'agency.registered'> {
  return { type: 'agency.registered', data: agencySettings(data) };
}

export function agencyChanged(data: Overrides<'agency.changed'> = {}): EventOf<'agency.changed'> {
  return { type: 'agency.changed', data: agencySettings(data) };
}

export function planPublished(overrides: Partial<Terms> = {}): EventOf<'plan.published'> {
  return { type: 'plan.published', data: { terms: terms(overrides) } };
}

export function tenantOnboarded(data: Overrides<'tenant.onboarded'> = {}): EventOf<'tenant.onboarded'> {
  return {
    type: 'tenant.onboarded',
    data: { tenantId: 'ten_1', agencyId: 'age_1', own: false, contactVersion: 1, ...data },
  };
}

export function tenantSuspended(data: Overrides<'tenant.suspended'> = {}): EventOf<'tenant.suspended'> {
  return { type: 'tenant.suspended', data: { tenantId: 'ten_1', reason: 'payment overdue', ...data } };
}

export function tenantReinstated(data: Overrides<'tenant.reinstated'> = {}): EventOf<'tenant.reinstated'> {
  return { type: 'tenant.reinstated', data: { tenantId: 'ten_1', ...data } };
}

export function contractSigned(data: Overrides<'contract.signed'> = {}): EventOf<'contract.signed'> {
  const contract = { contractId: 'con_1', effectiveFrom: '2026-11-01T00:00:00.000Z', terms: terms() };
  return { type: 'contract.signed', data: { tenantId: 'ten_1', ...contract, ...data } };
}

/** A change that is agreed for the first of December. */
export function contractAmended(data: Overrides<'contract.amended'> = {}): EventOf<'contract.amended'> {
  const version = {
    contractId: 'con_2',
    effectiveFrom: '2026-11-30T23:00:00.000Z',
    terms: terms({ monthlyFeeNanos: 99_000_000_000n }),
    agreed: { limits: { production: { requestsPerMinute: 900 } } },
  };
  const included = [{ effectiveFrom: version.effectiveFrom, nanos: 10_000_000_000n }];
  return {
    type: 'contract.amended',
    data: { tenantId: 'ten_1', ...version, planned: [version], included, ...data },
  };
}

export function contractEnded(data: Overrides<'contract.ended'> = {}): EventOf<'contract.ended'> {
  const version = { contractId: 'con_3', effectiveFrom: '2026-12-31T23:00:00.000Z' };
  const planned = [{ ...version, terms: null, agreed: null }];
  return { type: 'contract.ended', data: { tenantId: 'ten_1', ...version, planned, included: [], ...data } };
}

export function contractApplied(data: Overrides<'contract.applied'> = {}): EventOf<'contract.applied'> {
  const version = {
    contractId: 'con_2',
    effectiveFrom: '2026-11-30T23:00:00.000Z',
    terms: terms({ monthlyFeeNanos: 99_000_000_000n }),
    agreed: null,
  };
  return {
    type: 'contract.applied',
    data: { tenantId: 'ten_1', version, planned: [], paused: false, ...data },
  };
}

export function projectOpened(data: Overrides<'project.opened'> = {}): EventOf<'project.opened'> {
  const project = { projectId: 'prj_1', environments: ['production', 'staging'] as const, limits: null };
  return { type: 'project.opened', data: { tenantId: 'ten_1', ...project, ...data } };
}

export function projectBlocked(data: Overrides<'project.blocked'> = {}): EventOf<'project.blocked'> {
  return { type: 'project.blocked', data: { projectId: 'prj_1', ...data } };
}

export function projectUnblocked(data: Overrides<'project.unblocked'> = {}): EventOf<'project.unblocked'> {
  return { type: 'project.unblocked', data: { projectId: 'prj_1', ...data } };
}

export function keyGenerated(data: Overrides<'key.generated'> = {}): EventOf<'key.generated'> {
  const secret = { tokenHash: TOKEN_HASH, keyName: 'sk-...test' };
  const key = { keyId: 'key_1', tenantId: 'ten_1', limits: limits(), settings: keySettings() };
  return { type: 'key.generated', data: { ...key, ...secret, ...data } };
}

export function keyLimitsChanged(data: Overrides<'key.limits-changed'> = {}): EventOf<'key.limits-changed'> {
  return {
    type: 'key.limits-changed',
    data: { keyId: 'key_1', limits: limits({ requestsPerMinute: 120 }), ...data },
  };
}

export function keyChanged(data: Overrides<'key.changed'> = {}): EventOf<'key.changed'> {
  return { type: 'key.changed', data: { keyId: 'key_1', settings: keySettings({ alias: 'shop' }), ...data } };
}

export function keyBlocked(data: Overrides<'key.blocked'> = {}): EventOf<'key.blocked'> {
  return { type: 'key.blocked', data: { keyId: 'key_1', ...data } };
}

export function keyUnblocked(data: Overrides<'key.unblocked'> = {}): EventOf<'key.unblocked'> {
  return { type: 'key.unblocked', data: { keyId: 'key_1', ...data } };
}

export function keyRotated(data: Overrides<'key.rotated'> = {}): EventOf<'key.rotated'> {
  const secrets = { tokenHash: sha256('sk-next'), keyName: 'sk-...next', oldTokenHash: TOKEN_HASH };
  return {
    type: 'key.rotated',
    data: { keyId: 'key_1', ...secrets, graceEndsAt: '2026-11-21T10:00:00.000Z', ...data },
  };
}

export function keyDeleted(data: Overrides<'key.deleted'> = {}): EventOf<'key.deleted'> {
  return { type: 'key.deleted', data: { keyId: 'key_1', tokenHash: TOKEN_HASH, ...data } };
}

/** 1,000 tokens in, 100 of them cached, 200 out. Overriding `usage` does not change lines and sums. */
export function spendRecorded(data: Overrides<'spend.recorded'> = {}): EventOf<'spend.recorded'> {
  return {
    type: 'spend.recorded',
    data: {
      requestId: 'req_1',
      responseId: 'chatcmpl-1',
      keyId: 'key_1',
      tokenHash: TOKEN_HASH,
      projectId: 'prj_1',
      userId: null,
      endUser: null,
      tags: [],
      route: 'chat/completions',
      model: 'gpt-4o-mini',
      deployment: 'upstream-1',
      stream: false,
      admittedAt: AT,
      month: '2026-11',
      outcome: 'completed',
      status: 200,
      usageSource: 'reported',
      usage: { inputTokens: 1_000, cachedInputTokens: 100, outputTokens: 200, reasoningTokens: 0 },
      lines: [
        { unit: 'input', quantity: 900, priceRate: 150_000_000n, priceNanos: 135_000n, costNanos: 112_500n },
        {
          unit: 'cached-input',
          quantity: 100,
          priceRate: 75_000_000n,
          priceNanos: 7_500n,
          costNanos: 6_250n,
        },
        { unit: 'output', quantity: 200, priceRate: 600_000_000n, priceNanos: 120_000n, costNanos: 100_000n },
      ],
      currency: 'EUR',
      priceNanos: 262_500n,
      costNanos: 218_750n,
      durationMs: 840,
      firstByteMs: 210,
      ...data,
    },
  };
}

export function periodClosed(data: Overrides<'period.closed'> = {}): EventOf<'period.closed'> {
  return { type: 'period.closed', data: { agencyId: 'age_1', period: '2026-11', ...data } };
}

export function numberAssigned(data: Overrides<'number.assigned'> = {}): EventOf<'number.assigned'> {
  return { type: 'number.assigned', data: { invoiceId: 'inv_1', ...data } };
}

export function invoiceDrafted(overrides: Partial<InvoiceDraft> = {}): EventOf<'invoice.drafted'> {
  const fee = { kind: 'fee', projectId: null, model: null, unit: null, priceRate: null } as const;
  const tax = { category: 'S', ratePercent: '19' } as const;
  const usage = { kind: 'usage', projectId: 'prj_1', model: 'gpt-4o-mini', unit: 'output' } as const;
  return {
    type: 'invoice.drafted',
    data: {
      invoiceId: 'inv_1',
      period: '2026-11',
      currency: 'EUR',
      taxCase: DOMESTIC,
      replaces: null,
      lines: [
        { ...fee, serviceMonth: '2026-11', quantity: 1n, nanos: 49_000_000_000n, netCents: 4_900n, tax },
        {
          ...usage,
          serviceMonth: '2026-11',
          quantity: 20_000n,
          priceRate: 600_000_000n,
          nanos: 12_000_000n,
          netCents: 1n,
          tax,
        },
      ],
      taxes: [{ category: 'S', ratePercent: '19', netCents: 4_901n, taxCents: 931n }],
      netCents: 4_901n,
      taxCents: 931n,
      grossCents: 5_832n,
      ...overrides,
    },
  };
}

export function invoiceFinalized(data: Overrides<'invoice.finalized'> = {}): EventOf<'invoice.finalized'> {
  const document = {
    number: 'RE-2026-00001',
    issuedOn: '2026-12-01',
    dueOn: '2026-12-15',
    documentHash: sha256('document'),
  };
  return { type: 'invoice.finalized', data: { invoiceId: 'inv_1', ...document, ...data } };
}

export function invoiceSent(data: Overrides<'invoice.sent'> = {}): EventOf<'invoice.sent'> {
  return { type: 'invoice.sent', data: { invoiceId: 'inv_1', channel: 'mail', ...data } };
}

export function invoicePaid(data: Overrides<'invoice.paid'> = {}): EventOf<'invoice.paid'> {
  const payment = { paidOn: '2026-12-10', method: 'bank transfer', reference: 'statement 12' };
  return { type: 'invoice.paid', data: { invoiceId: 'inv_1', ...payment, ...data } };
}

export function invoicePaymentFailed(
  data: Overrides<'invoice.payment-failed'> = {},
): EventOf<'invoice.payment-failed'> {
  const payment = { method: 'direct debit', reference: null, reason: 'no funds' };
  return { type: 'invoice.payment-failed', data: { invoiceId: 'inv_1', ...payment, ...data } };
}

export function invoiceCancelled(data: Overrides<'invoice.cancelled'> = {}): EventOf<'invoice.cancelled'> {
  const storno = { cancellationId: 'sto_1', number: 'RE-2026-00002', issuedOn: '2026-12-03' };
  const included = [{ month: '2026-11', nanos: 10_000_000n }];
  const documentHash = sha256('cancellation');
  const reason = 'wrong address';
  return {
    type: 'invoice.cancelled',
    data: { invoiceId: 'inv_1', reason, ...storno, documentHash, included, ...data },
  };
}

const refund = { invoiceId: 'inv_1', refundId: 're_1', cents: 500n };
const dispute = { invoiceId: 'inv_1', disputeId: 'du_1', reason: 'fraudulent' };

export function invoiceCollectionOpened(
  data: Overrides<'invoice.collection-opened'> = {},
): EventOf<'invoice.collection-opened'> {
  const collection = { provider: 'stripe', accountId: 'acct_1', reference: 'in_1' } as const;
  return { type: 'invoice.collection-opened', data: { invoiceId: 'inv_1', ...collection, ...data } };
}

export function invoiceRefunded(data: Overrides<'invoice.refunded'> = {}): EventOf<'invoice.refunded'> {
  return { type: 'invoice.refunded', data: { ...refund, on: '2026-12-12', ...data } };
}

export function invoiceRefundFailed(
  data: Overrides<'invoice.refund-failed'> = {},
): EventOf<'invoice.refund-failed'> {
  return { type: 'invoice.refund-failed', data: { ...refund, reason: 'account closed', ...data } };
}

export function invoiceDisputed(data: Overrides<'invoice.disputed'> = {}): EventOf<'invoice.disputed'> {
  return { type: 'invoice.disputed', data: { ...dispute, cents: 5_832n, ...data } };
}

export function invoiceDisputeClosed(
  data: Overrides<'invoice.dispute-closed'> = {},
): EventOf<'invoice.dispute-closed'> {
  return { type: 'invoice.dispute-closed', data: { ...dispute, outcome: 'lost', ...data } };
}

export function invoiceReminded(data: Overrides<'invoice.reminded'> = {}): EventOf<'invoice.reminded'> {
  return { type: 'invoice.reminded', data: { invoiceId: 'inv_1', level: 1, on: '2026-12-22', ...data } };
}

export function billingSettingsChanged(
  data: Overrides<'billing-settings.changed'> = {},
): EventOf<'billing-settings.changed'> {
  const settings = {
    mail: true,
    reminderDays: [7, 14],
    suspendAfterDays: 7,
    invoiceRun: { from: '2026-12', graceHours: 24 },
    stripe: { accountId: 'acct_1', mode: 'test', methods: ['card', 'sepa_debit'] },
  } as const;
  return { type: 'billing-settings.changed', data: { agencyId: 'age_1', settings, ...data } };
}

export function alertSettingsChanged(
  data: Overrides<'alert-settings.changed'> = {},
): EventOf<'alert-settings.changed'> {
  const target = {
    id: 'alt_1',
    channel: 'webhook',
    alerts: ['budget-over', 'unhealthy'],
    language: 'en',
    active: true,
    addressVersion: 1,
  } as const;
  return { type: 'alert-settings.changed', data: { agencyId: 'age_1', targets: [target], ...data } };
}

export function taxStatusDeclared(
  data: Overrides<'tax-status.declared'> = {},
): EventOf<'tax-status.declared'> {
  const status = { from: '2026-01-01', status: 'small-business' } as const;
  return { type: 'tax-status.declared', data: { agencyId: 'age_1', ...status, ...data } };
}

export function vatIdChecked(data: Overrides<'vat-id.checked'> = {}): EventOf<'vat-id.checked'> {
  const answer = { valid: true, source: 'vies', checkedAt: AT } as const;
  const hashes = { vatIdHash: sha256('ATU12345678'), evidenceHash: sha256('evidence') };
  return {
    type: 'vat-id.checked',
    data: { tenantId: 'ten_1', checkId: 'vck_1', ...answer, ...hashes, ...data },
  };
}

export function logSealed(data: Overrides<'log.sealed'> = {}): EventOf<'log.sealed'> {
  const covered = { position: 41n, after: 12n, heads: 3, root: sha256('root'), order: sha256('order') };
  const signed = { keyId: '0123456789abcdef', hash: sha256('seal'), signature: 'c2lnbmF0dXJl' };
  return {
    type: 'log.sealed',
    data: { ...covered, previousSeal: sha256('seal before'), sealedAt: AT, ...signed, ...data },
  };
}

export function logKeyRotated(data: Overrides<'log.key-rotated'> = {}): EventOf<'log.key-rotated'> {
  const key = {
    keyId: '0123456789abcdef',
    publicKey: 'a2V5',
    previousKeyId: 'fedcba9876543210',
    validFrom: AT,
  };
  return {
    type: 'log.key-rotated',
    data: { ...key, signature: 'c2lnbmF0dXJl', previousSignature: 'c2lnbmF0dXJl', ...data },
  };
}

export function auditorAppointed(data: Overrides<'auditor.appointed'> = {}): EventOf<'auditor.appointed'> {
  const secret = { tokenHash: sha256('sk-auditor'), keyName: 'sk-...itor', expiresAt: null };
  return {
    type: 'auditor.appointed',
    data: { auditorId: 'aud_1', scope: { kind: 'tenant', id: 'ten_1' }, ...secret, ...data },
  };
}

export function auditorDismissed(data: Overrides<'auditor.dismissed'> = {}): EventOf<'auditor.dismissed'> {
  return { type: 'auditor.dismissed', data: { auditorId: 'aud_1', ...data } };
}

export function auditConsulted(data: Overrides<'audit.consulted'> = {}): EventOf<'audit.consulted'> {
  return {
    type: 'audit.consulted',
    data: { auditorId: 'aud_1', route: '/api/audit/keys/:id', subject: 'key_1', ...data },
  };
}

const subject = { limits: limits(), extra: NO_EXTRA, options: {} };

export function userRegistered(data: Overrides<'user.registered'> = {}): EventOf<'user.registered'> {
  const who = { id: 'usr_1', role: 'internal_user', contactVersion: 1, budgetId: null } as const;
  return { type: 'user.registered', data: { ...subject, ...who, ...data } };
}

export function customerRegistered(
  data: Overrides<'customer.registered'> = {},
): EventOf<'customer.registered'> {
  const who = { id: 'cus_1', blocked: false, contactVersion: 0, budgetId: null };
  return { type: 'customer.registered', data: { ...subject, ...who, ...data } };
}

export function budgetDefined(data: Overrides<'budget.defined'> = {}): EventOf<'budget.defined'> {
  return { type: 'budget.defined', data: { ...subject, id: 'bud_1', ...data } };
}

export function tagDefined(data: Overrides<'tag.defined'> = {}): EventOf<'tag.defined'> {
  return {
    type: 'tag.defined',
    data: { ...subject, id: 'blue', description: 'Blue things', budgetId: null, ...data },
  };
}

export function invitationIssued(data: Overrides<'invitation.issued'> = {}): EventOf<'invitation.issued'> {
  const facts = { userId: 'usr_1', tokenHash: sha256('token'), expiresAt: '2026-11-27T10:00:00.000Z' };
  return { type: 'invitation.issued', data: { invitationId: 'inv_1', ...facts, ...data } };
}

export function projectChanged(data: Overrides<'project.changed'> = {}): EventOf<'project.changed'> {
  const facts = { projectId: 'prj_1', limits: limits(), settings: NO_PROJECT_SETTINGS };
  return { type: 'project.changed', data: { ...facts, ...data } };
}

export function projectMemberAdded(
  data: Overrides<'project.member-added'> = {},
): EventOf<'project.member-added'> {
  const member = { projectId: 'prj_1', userId: 'usr_1', role: 'user', limits: NO_MEMBER_LIMITS } as const;
  return { type: 'project.member-added', data: { ...member, ...data } };
}

export function tenantChanged(data: Overrides<'tenant.changed'> = {}): EventOf<'tenant.changed'> {
  const settings = { limits: limits(), extra: NO_EXTRA, budgetId: null, contactVersion: 2, options: {} };
  return { type: 'tenant.changed', data: { tenantId: 'ten_1', settings, ...data } };
}

export function tenantMemberAdded(
  data: Overrides<'tenant.member-added'> = {},
): EventOf<'tenant.member-added'> {
  const member = { tenantId: 'ten_1', userId: 'usr_1', role: 'org_admin', budget: null } as const;
  return { type: 'tenant.member-added', data: { ...member, ...data } };
}

export function modelAdded(data: Overrides<'model.added'> = {}): EventOf<'model.added'> {
  return {
    type: 'model.added',
    data: {
      id: 'mod_1',
      name: 'gpt-4o-mini',
      params: {
        model: 'openai/gpt-4o-mini',
        api_base: 'https://upstream.example/v1',
        input_cost_per_token: '0.00000015',
      },
      info: { mode: 'chat' },
      sealed: 'v1.AAAAAAAA.bm9uY2U.c2VhbGVk',
      ...data,
    },
  };
}

export function keySpendAdjusted(data: Overrides<'key.spend-adjusted'> = {}): EventOf<'key.spend-adjusted'> {
  const amounts = { byNanos: -262_500n, fromNanos: 262_500n, toNanos: 0n };
  return { type: 'key.spend-adjusted', data: { keyId: 'key_1', ...amounts, ...data } };
}

/** One event of each type, in an order in which they could happen. A new type breaks the build here. */
export const oneOfEach: { readonly [T in EventType]: () => EventOf<T> } = {
  'agency.registered': agencyRegistered,
  'agency.changed': agencyChanged,
  'plan.published': planPublished,
  'tenant.onboarded': tenantOnboarded,
  'tenant.suspended': tenantSuspended,
  'tenant.reinstated': tenantReinstated,
  'contract.signed': contractSigned,
  'contract.amended': contractAmended,
  'contract.ended': contractEnded,
  'contract.applied': contractApplied,
  'project.opened': projectOpened,
  'project.blocked': projectBlocked,
  'project.unblocked': projectUnblocked,
  'key.generated': keyGenerated,
  'key.limits-changed': keyLimitsChanged,
  'key.changed': keyChanged,
  'key.blocked': keyBlocked,
  'key.unblocked': keyUnblocked,
  'key.rotated': keyRotated,
  'key.deleted': keyDeleted,
  'spend.recorded': spendRecorded,
  'period.closed': periodClosed,
  'number.assigned': numberAssigned,
  'invoice.drafted': invoiceDrafted,
  'invoice.finalized': invoiceFinalized,
  'invoice.sent': invoiceSent,
  'invoice.payment-failed': invoicePaymentFailed,
  'invoice.collection-opened': invoiceCollectionOpened,
  'invoice.paid': invoicePaid,
  'invoice.reminded': invoiceReminded,
  'invoice.refunded': invoiceRefunded,
  'invoice.refund-failed': invoiceRefundFailed,
  'invoice.disputed': invoiceDisputed,
  'invoice.dispute-closed': invoiceDisputeClosed,
  'invoice.cancelled': invoiceCancelled,
  'billing-settings.changed': billingSettingsChanged,
  'alert-settings.changed': alertSettingsChanged,
  'tax-status.declared': taxStatusDeclared,
  'vat-id.checked': vatIdChecked,
  'log.key-rotated': logKeyRotated,
  'log.sealed': logSealed,
  'auditor.appointed': auditorAppointed,
  'audit.consulted': auditConsulted,
  'auditor.dismissed': auditorDismissed,
  'tenant.changed': tenantChanged,
  'tenant.member-added': tenantMemberAdded,
  'tenant.member-changed': () => ({
    type: 'tenant.member-changed',
    data: { ...tenantMemberAdded().data, role: 'internal_user', budget: { nanos: 5n, window: '1d' } },
  }),
  'tenant.member-removed': () => ({
    type: 'tenant.member-removed',
    data: { tenantId: 'ten_1', userId: 'usr_1' },
  }),
  'tenant.closed': () => ({ type: 'tenant.closed', data: { tenantId: 'ten_1' } }),
  'project.changed': projectChanged,
  'project.member-added': projectMemberAdded,
  'project.member-changed': () => ({
    type: 'project.member-changed',
    data: { ...projectMemberAdded().data, role: 'admin' },
  }),
  'project.member-removed': () => ({
    type: 'project.member-removed',
    data: { projectId: 'prj_1', userId: 'usr_1' },
  }),
  'project.closed': () => ({ type: 'project.closed', data: { projectId: 'prj_1' } }),
  'key.spend-adjusted': keySpendAdjusted,
  'project.spend-adjusted': () => ({
    type: 'project.spend-adjusted',
    data: { projectId: 'prj_1', byNanos: -262_500n, fromNanos: 262_500n, toNanos: 0n },
  }),
  'user.registered': userRegistered,
  'user.changed': () => ({
    type: 'user.changed',
    data: { ...userRegistered().data, role: 'proxy_admin_viewer' },
  }),
  'user.removed': () => ({ type: 'user.removed', data: { id: 'usr_1' } }),
  'invitation.issued': invitationIssued,
  'invitation.accepted': () => ({ type: 'invitation.accepted', data: { invitationId: 'inv_1' } }),
  'invitation.withdrawn': () => ({ type: 'invitation.withdrawn', data: { invitationId: 'inv_1' } }),
  'customer.registered': customerRegistered,
  'customer.changed': () => ({
    type: 'customer.changed',
    data: { ...customerRegistered().data, blocked: true },
  }),
  'customer.removed': () => ({ type: 'customer.removed', data: { id: 'cus_1' } }),
  'budget.defined': budgetDefined,
  'budget.changed': () => ({
    type: 'budget.changed',
    data: { ...budgetDefined().data, limits: limits({ budget: { nanos: 7n, window: '30d' } }) },
  }),
  'budget.removed': () => ({ type: 'budget.removed', data: { id: 'bud_1' } }),
  'model.added': modelAdded,
  'model.changed': () => ({ type: 'model.changed', data: { ...modelAdded().data, sealed: null } }),
  'model.removed': () => ({ type: 'model.removed', data: { id: 'mod_1' } }),
  'tag.defined': tagDefined,
  'tag.changed': () => ({ type: 'tag.changed', data: { ...tagDefined().data, description: null } }),
  'tag.removed': () => ({ type: 'tag.removed', data: { id: 'blue' } }),
};

/** The envelope before the event is in the log. `name` makes its id: the same name, the same id. */
export function newEvent<E extends DomainEvent>(
  event: E,
  name: string,
  overrides: Partial<Omit<NewEvent, 'event'>> = {},
): NewEvent<E> {
  return {
    id: uuid(name),
    agencyId: 'age_1',
    tenantId: 'ten_1',
    actor: { kind: 'master', id: 'default_user_id' },
    correlationId: 'request-1',
    causationId: 'request-1',
    occurredAt: AT,
    commandHash: null,
    ...overrides,
    event,
  };
}

/** An event as read from the log, for projections and folds. Its hash is not a real one. */
export function recorded<E extends DomainEvent>(
  event: E,
  overrides: Partial<Omit<Recorded, 'event'>> = {},
): Recorded<E> {
  const position = overrides.position ?? 1n;
  const stream = overrides.stream ?? 'test-1';
  return {
    ...newEvent(event, `${stream} ${position}`),
    stream,
    revision: position - 1n,
    position,
    schema: 1,
    recordedAt: AT,
    hash: sha256(`${position}`),
    previousHash: ZERO_HASH,
    ...overrides,
    event,
  };
}

/** The events as a log of their own: positions 1, 2, 3 … */
export function recordedAll(
  events: readonly DomainEvent[],
  overrides: Partial<Omit<Recorded, 'event'>> = {},
): Recorded[] {
  return events.map((event, index) => recorded(event, { position: BigInt(index + 1), ...overrides }));
}

/** A UUID that follows from the text. */
export function uuid(text: string): string {
  const hex = sha256(text);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
