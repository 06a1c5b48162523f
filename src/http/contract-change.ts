import { z } from 'zod';
import { applyContract } from '../contracts.ts';
import { type ContractVersion, keyLimitsOf, stepsThrough, withVersion } from '../domain/contract.ts';
import { expiryAfter } from '../domain/duration.ts';
import { complied } from '../domain/key.ts';
import { canonicalJson } from '../domain/json.ts';
import { ENVIRONMENTS, type Environment, type Limits, UNLIMITED } from '../domain/limits.ts';
import { DAY_MS, firstInstantAt, isoInstant } from '../domain/local-time.ts';
import { localDate, nextPeriod, periodBounds, periodOf } from '../domain/period.ts';
import { type Agreed, guard, limitsOverageMore, tenantLimitsFor, type Terms } from '../domain/plan.ts';
import { feeShare, monthlySum, partsOf } from '../domain/proration.ts';
import { standing } from '../domain/tenant-contract.ts';
import { readTerms } from '../domain/terms-json.ts';
import { tenant, type TenantState } from '../domain/tenant.ts';
import { isRefusal, Refusal } from '../errors.ts';
import { derivedId } from '../secrets.ts';
import { load, transact } from '../transact.ts';
import { type Command, metaFor } from './command.ts';
import type { HttpDeps } from './deps.ts';
import { contractDeps } from './due-contracts.ts';
import { limitsOfColumns, numberOrNull } from './limited-row.ts';
import { newestTermsOf } from './plans.ts';
import { AgreedBody, agreedOf } from './agreed-body.ts';
import { agencyOf, type AgencyRow, type KeyRow, type TenantRow, tenantOf } from './read.ts';
import { settle } from './settle.ts';
import { contactFor, keepBilling } from './tenant-billing.ts';
import { Billing, contactAnswer } from './tenant-view.ts';

/** What a change of a contract would do, worked out once for the preview and for the change itself. */

export const ContractBody = z.strictObject({
  plan: z.string().min(1).max(100).optional().describe('Left out: the plan stays as it is'),
  version: z.number().int().positive().optional().describe('Of the plan; the newest when left out'),
  agreed: AgreedBody.nullable()
    .optional()
    .describe('What is agreed apart from the plan, higher or lower; left out stays, null removes it'),
  billing: Billing.optional().describe(
    'Legal name and address on invoices from now on; needed when a tenant without them signs',
  ),
  end: z.boolean().default(false).describe('End the contract'),
  waive_notice: z.boolean().default(false),
  effective: z
    .string()
    .regex(/^(now|next_period|\d{4}-\d\d-\d\d)$/, 'expected now, next_period or a date such as 2026-12-01')
    .optional()
    .describe(
      "When: upgrades are in force now, everything else from the next period. A date begins in the agency's zone",
    ),
});
type ContractBody = z.output<typeof ContractBody>;

export interface KeyChange {
  readonly row: KeyRow;
  readonly before: Limits;
  readonly after: Limits;
}
export interface MonthEffect {
  readonly feeNanos: bigint;
  readonly includedNanos: bigint;
}
export interface ContractChange {
  readonly agency: AgencyRow;
  readonly tenant: TenantRow;
  /** Undefined leaves it. */
  readonly billing: ContractBody['billing'];
  readonly tenantId: string;
  readonly kind: 'upgrade' | 'downgrade' | 'end';
  readonly version: ContractVersion;
  /** In force until then. */
  readonly before: ContractVersion;
  /** What was agreed for later and will not happen. */
  readonly dropped: readonly ContractVersion[];
  readonly keys: readonly KeyChange[];
  readonly tenantLimits: { readonly before: Limits; readonly after: Limits };
  /** `YYYY-MM` of the instant of asking, with what it comes to before and after. */
  readonly period: string;
  readonly month: { readonly before: MonthEffect; readonly after: MonthEffect };
}

type KnownTenant = Exclude<TenantState, { status: 'absent' }>;

/** Throws Refusal(not_found | no_contract | bad_request | notice_period). */
export async function planChange(
  deps: HttpDeps,
  { commandId, at }: Pick<Command, 'commandId' | 'at'>,
  tenantId: string,
  body: ContractBody,
): Promise<ContractChange> {
  await settle(deps, deps.appendedPosition());
  const row = await tenantOf(deps.db, tenantId);
  const agency = await agencyOf(deps.db, row.agency_id);
  const state = await load(deps.store, tenant, `tenant-${tenantId}`);
  if (state.status === 'absent' || state.status === 'closed')
    throw new Refusal('not_found', { what: 'tenant' });
  const { contract } = state;
  const before = standing(contract, at, false).applied ?? (await unsigned(deps, row, body));
  const terms = await agreedTerms(deps, body, before, agency);
  const agreedFrom = (month: string) => agreedWith(body, before, month);
  const { zone } = agency;
  const period = periodOf(at, zone);
  const kind = body.end ? 'end' : isUpgrade(before, terms!, agreedFrom(period)) ? 'upgrade' : 'downgrade';
  const effectiveFrom = effectiveOf(body, { kind, at, row, agency, terms: before.terms });
  const agreed = agreedFrom(periodOf(effectiveFrom, zone));
  const contractId = derivedId('con', commandId, 'contract');
  const version: ContractVersion = { contractId, effectiveFrom, terms, agreed };
  const versions = withVersion(contract.versions, version);
  return {
    agency,
    tenant: row,
    billing: body.billing,
    tenantId,
    kind,
    version,
    before,
    dropped: contract.planned.filter((one) => one.effectiveFrom >= effectiveFrom && one.effectiveFrom > at),
    keys: await keyChanges(deps, tenantId, state, version, at),
    tenantLimits: {
      before: before.contractId === UNSIGNED ? UNLIMITED : tenantLimits(before),
      after: tenantLimits(version),
    },
    period,
    month: {
      before: monthEffect(contract.versions, period, zone),
      after: monthEffect(versions, period, zone),
    },
  };
}

/** Carries out what `planChange` says. Repeating the command finds what it did. */
export async function carryOut(
  deps: HttpDeps,
  command: Command,
  { tenantId, tenant: row, agency, billing, version }: ContractChange,
): Promise<bigint> {
  if (billing !== undefined) await keepBilling(deps, command, row, billing);
  const owner = { agencyId: agency.agency_id, tenantId };
  const meta = metaFor(command, owner);
  const { position } = await transact(
    deps.store,
    tenant,
    `tenant-${tenantId}`,
    { type: 'agree', version },
    meta,
    { input: command.input },
  );
  const { at, actor, correlationId, causationId } = command;
  const applied = await applyContract(contractDeps(deps), {
    tenantId,
    at,
    actor,
    correlationId,
    causationId,
  });
  return applied > position ? applied : position;
}

const UNSIGNED = '';

/**
 * Before a tenant's first contract: it was made without a plan, as a part of the agency.
 * Throws Refusal(no_contract | bad_request).
 */
async function unsigned(
  deps: HttpDeps,
  row: TenantRow,
  { plan, billing, end }: ContractBody,
): Promise<ContractVersion> {
  const { tenant_id: tenantId, onboarded_at: effectiveFrom } = row;
  if (plan === undefined || end || tenantId === deps.ownTenant.tenantId) {
    throw new Refusal('no_contract', { tenantId });
  }
  const { billing: known } = contactAnswer(await contactFor(deps, row));
  if (billing === undefined && known?.['street'] == null) {
    const problem = 'Send billing: an invoice needs the legal name and address of the tenant.';
    throw new Refusal('bad_request', { problem }, { param: 'billing' });
  }
  return { contractId: UNSIGNED, effectiveFrom, terms: null, agreed: null };
}

/** Null ends the contract. */
async function agreedTerms(
  deps: HttpDeps,
  body: ContractBody,
  before: Pick<ContractVersion, 'terms'>,
  agency: AgencyRow,
): Promise<Terms | null> {
  if (body.end) return null;
  if (body.plan === undefined && before.terms === null) {
    throw new Refusal('bad_request', { problem: 'The contract has ended: name a plan.' }, { param: 'plan' });
  }
  const terms = body.plan === undefined ? before.terms! : await termsOf(deps, body.plan, body.version);
  if (terms.currency !== agency.currency) {
    const problem = `The plan is in ${terms.currency}, the agency in ${agency.currency}.`;
    throw new Refusal('bad_request', { problem }, { param: 'plan' });
  }
  return terms;
}

/** `month`: in which the change takes effect. */
function agreedWith(
  body: ContractBody,
  before: Pick<ContractVersion, 'agreed'>,
  month: string,
): Agreed | null {
  if (body.end || body.agreed === null) return null;
  return body.agreed === undefined ? before.agreed : agreedOf(body.agreed, month);
}

/** Throws Refusal(bad_request). */
export async function termsOf(deps: HttpDeps, plan: string, version: number | undefined): Promise<Terms> {
  const newest = await newestTermsOf(deps.db, plan);
  if (version === undefined || version === newest.planVersion) return newest;
  const row = await deps.db
    .selectFrom('plans')
    .selectAll()
    .where('name', '=', plan)
    .where('version', '=', BigInt(version))
    .executeTakeFirst();
  if (row !== undefined) return readTerms(row.terms);
  const problem = `The plan ${plan} has no version ${version}.`;
  throw new Refusal('bad_request', { problem }, { param: 'version' });
}

/** A higher fee; with the same fee, a contract that allows and includes no less. */
function isUpgrade(before: ContractVersion, terms: Terms, agreed: Agreed | null): boolean {
  if (before.terms === null) return true;
  const rise = terms.monthlyFeeNanos - before.terms.monthlyFeeNanos;
  if (rise !== 0n) return rise > 0n;
  if (terms.includedUsageNanos < before.terms.includedUsageNanos) return false;
  if (limitsOverageMore(before.terms, terms)) return false;
  return ENVIRONMENTS.every((environment) => {
    const old = keyLimitsOf(before)![environment];
    return allows(terms, environment, old, agreed);
  });
}

function allows(terms: Terms, environment: Environment, limits: Limits, agreed: Agreed | null): boolean {
  try {
    guard(terms, environment, limits, agreed);
    return true;
  } catch (error) {
    if (isRefusal(error, 'contract_forbids')) return false;
    throw error;
  }
}

interface Timing {
  readonly kind: ContractChange['kind'];
  readonly at: string;
  readonly row: TenantRow;
  readonly agency: AgencyRow;
  /** In force now. */
  readonly terms: Terms | null;
}

/** Throws Refusal(notice_period | bad_request). */
function effectiveOf(body: ContractBody, { kind, at, row, agency, terms }: Timing): string {
  const { zone } = agency;
  const nextAfter = (instant: string): string =>
    periodBounds(nextPeriod(periodOf(instant, zone)), zone).startsAt;
  const notice = kind === 'end' && !body.waive_notice ? (terms?.notice ?? null) : null;
  const earliest = notice === null ? at : expiryAfter(at, notice);
  const { effective = kind === 'upgrade' ? 'now' : 'next_period' } = body;
  if (body.effective === undefined && notice !== null) return nextAfter(earliest);
  const instant =
    effective === 'now' ? at : effective === 'next_period' ? nextAfter(at) : beginOf(effective, zone);
  if (notice !== null && instant < earliest) throw new Refusal('notice_period', { notice, earliest });
  if (localDate(instant, zone) >= localDate(row.onboarded_at, zone)) return instant;
  const problem = 'A change cannot take effect before the tenant was onboarded.';
  throw new Refusal('bad_request', { problem }, { param: 'effective' });
}

function beginOf(date: string, zone: string): string {
  const day = Date.parse(`${date}T00:00:00.000Z`);
  if (isoInstant(day || 0).startsWith(date) && day % DAY_MS === 0)
    return isoInstant(firstInstantAt(day, zone));
  throw new Refusal('bad_request', { problem: `There is no day ${date}.` }, { param: 'effective' });
}

/** Every key whose limits will differ, by id. */
async function keyChanges(
  deps: HttpDeps,
  tenantId: string,
  { contract, status }: KnownTenant,
  version: ContractVersion,
  at: string,
): Promise<readonly KeyChange[]> {
  const rows = await deps.db
    .selectFrom('keys')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('status', '!=', 'deleted')
    .orderBy('key_id')
    .execute();
  const isSuspended = status === 'suspended';
  const now = standing(contract, at, isSuspended);
  const due = withVersion(contract.planned, version);
  const paused = isSuspended || version.terms === null;
  return rows.flatMap((row) => {
    const settings = { environment: row.environment as Environment | null };
    const stored = {
      limits: limitsOfColumns(row),
      settings,
      ...(row.paused ? { pausedParallel: numberOrNull(row.paused_parallel) } : {}),
    };
    const before = complied(stored, stepsThrough(contract.followed, now.due), now.paused).limits;
    const after = complied(stored, stepsThrough(contract.followed, due), paused).limits;
    return canonicalJson(before) === canonicalJson(after) ? [] : [{ row, before, after }];
  });
}

function tenantLimits({ terms, agreed }: ContractVersion): Limits {
  return terms === null ? { ...UNLIMITED, parallelRequests: 0 } : tenantLimitsFor(terms, agreed);
}

function monthEffect(versions: readonly ContractVersion[], period: string, zone: string): MonthEffect {
  const parts = partsOf(versions, period, zone);
  return {
    feeNanos: monthlySum(parts, (terms) => terms.monthlyFeeNanos, feeShare),
    includedNanos: monthlySum(parts, (terms) => terms.includedUsageNanos),
  };
}
