import type { agencies } from '../../projections/agencies.ts';
import type { budgets } from '../../projections/budgets.ts';
import type { keys } from '../../projections/keys.ts';
import type { members } from '../../projections/members.ts';
import type { projects } from '../../projections/projects.ts';
import type { tenants } from '../../projections/tenants.ts';
import type { users } from '../../projections/users.ts';
import { NO_EXTRA, readBudgets, readExtra, readMemberLimits } from '../domain/extra-limits.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import { type Budget, type Limits, UNLIMITED } from '../domain/limits.ts';
import { periodBounds, periodOf } from '../domain/period.ts';
import { overageFor, tenantLimitsFor } from '../domain/plan.ts';
import { monthlyIncluded } from '../domain/proration.ts';
import { readAgreed, readIncluded, readLimits, readTerms } from '../domain/terms-json.ts';
import type { RowIn } from '../projection.ts';
import type { Accounts } from './accounts.ts';
import {
  type Allowance,
  allowanceOf,
  attached,
  limitsOf,
  NOTHING_LIMITED,
  sharedAllowance,
  together,
} from './allowance.ts';
import type { Correction } from './budget.ts';
import { type BudgetCap, type Level, NO_RATES } from './levels.ts';
import {
  levelFor,
  levelIfLimited,
  type LevelsByModel,
  levelsByModel,
  type ModelLevel,
  modelLevelsFor,
  type Scope,
} from './scope-levels.ts';

/** All that a caller follows from. Null where the key has none, or nobody registered it. */
export interface CallerRows {
  readonly key: RowIn<typeof keys>;
  readonly project: RowIn<typeof projects> | null;
  readonly tenant: RowIn<typeof tenants>;
  readonly agency: RowIn<typeof agencies>;
  readonly user: RowIn<typeof users> | null;
  /** The user in the project, and in the tenant. */
  readonly member: RowIn<typeof members> | null;
  readonly tenantMember: RowIn<typeof members> | null;
  /** The shared budgets of the user and of the tenant. */
  readonly userBudget: RowIn<typeof budgets> | null;
  readonly tenantBudget: RowIn<typeof budgets> | null;
}

/** What the whole installation may use, the administrator included; null is unlimited. */
export interface InstallationLimits {
  readonly parallelRequests: number | null;
  readonly budget: Budget | null;
}

export interface CallerLevels {
  readonly keyBudget: BudgetCap | null;
  readonly levels: readonly Level[];
  readonly modelLevels: LevelsByModel | null;
}

/** The levels of every request of a key, in the order in which LiteLLM looks at their budgets. */
export function levelsOfKey(
  rows: CallerRows,
  accounts: Accounts,
  installation: InstallationLimits | null,
): CallerLevels {
  const { key, project, agency } = rows;
  const keyAllowed = keyAllowance(key);
  const keyLevel = levelFor(accounts, keyScope(rows), keyAllowed);
  const levels = [keyLevel];
  const modelLevels: ModelLevel[] = [
    ...modelLevelsFor(accounts, keyScope(rows), keyAllowed, served(key.aliases)),
  ];
  const add = (
    scope: Scope,
    allowed: Allowance,
    always: boolean,
    nameOf?: (model: string) => string,
  ): void => {
    const level = always ? levelFor(accounts, scope, allowed) : levelIfLimited(accounts, scope, allowed);
    if (level !== null) levels.push(level);
    modelLevels.push(...modelLevelsFor(accounts, scope, allowed, nameOf));
  };
  const { zone } = agency;
  if (project !== null) {
    const { project_id: id } = project;
    const correction = correctionOf(project);
    const scope = { name: 'project', id, subject: `Team=${id}`, zone, correction } as const;
    add(scope, projectAllowance(project), true, served(namesIn(project.options, 'model_aliases')));
  }
  const { tenant_id: tenantId } = rows.tenant;
  const tenantScope = { name: 'tenant', id: tenantId, subject: `Organization=${tenantId}`, zone } as const;
  add(tenantScope, tenantAllowance(rows), true);
  addPerson(rows, add);
  levels.push(...installationLevels(accounts, installation, zone));
  return {
    keyBudget: key.budget_nanos === null ? null : keyLevel.budgets[0]!,
    levels,
    modelLevels: levelsByModel(levels, modelLevels),
  };
}

function addPerson(rows: CallerRows, add: (scope: Scope, allowed: Allowance, always: boolean) => void): void {
  const { key, project, tenant, user, tenantMember, agency } = rows;
  if (key.user_id === null) return;
  const { zone } = agency;
  const userId = key.user_id;
  if (user !== null) {
    const allowed = sharedAllowance(user, rows.userBudget ?? undefined);
    const scope = { name: 'user', id: userId, subject: `User=${userId}`, zone } as const;
    // What a user spends through a project counts here, but only the project decides about it.
    const limited = project === null ? allowed : withoutBudgets(allowed);
    const counted = allowed.budgets.length > 0 || allowed.soft !== null;
    add(scope, limited, counted);
  }
  if (project !== null) {
    const { project_id: id } = project;
    const subject = `TeamMember=${userId}:${id}`;
    add(
      { name: 'member', id: `${id}/${userId}`, shownId: `${id}:${userId}`, subject, zone },
      memberAllowance(rows),
      false,
    );
  }
  if (tenantMember !== null) {
    const { tenant_id: id } = tenant;
    const subject = `OrganizationMember=${userId}:${id}`;
    const { budget } = readMemberLimits(tenantMember.limits);
    add(
      { name: 'tenant-member', id: `${id}/${userId}`, shownId: `${id}:${userId}`, subject, zone },
      allowanceOf({ ...UNLIMITED, budget }, NO_EXTRA),
      false,
    );
  }
}

function withoutBudgets(allowed: Allowance): Allowance {
  const byModel = Object.fromEntries(
    Object.entries(allowed.byModel).map(([model, limits]) => [model, { ...limits, budget: null }]),
  );
  return { ...allowed, budgets: [], soft: null, byModel };
}

/** None when nothing is limited. */
export function installationLevels(
  accounts: Accounts,
  installation: InstallationLimits | null,
  zone: string,
): readonly Level[] {
  if (installation === null) return [];
  const scope = { name: 'installation', id: '', subject: 'Installation', zone } as const;
  return [levelFor(accounts, scope, allowanceOf({ ...UNLIMITED, ...installation }, NO_EXTRA))];
}

function keyScope({ key, agency }: CallerRows): Scope {
  const subject = `Key=${key.alias === null ? '' : `${key.alias} `}(${key.key_name})`;
  return { name: 'key', id: key.key_id, subject, zone: agency.zone, correction: correctionOf(key) };
}

type Corrected = Pick<
  CallerRows['key'],
  'adjusted_position' | 'adjusted_at' | 'adjusted_to' | 'spend_adjusted'
>;

function correctionOf(row: Corrected): Correction | null {
  const { adjusted_position: position, adjusted_at: at, adjusted_to: toNanos } = row;
  if (position === null || at === null || toNanos === null) return null;
  return { position, atMs: Date.parse(at), toNanos, sumNanos: row.spend_adjusted };
}

function keyAllowance(row: CallerRows['key']): Allowance {
  const { byModel } = readExtra({ softBudgetNanos: null, budgets: [], byModel: row.model_limits });
  const extra = { softBudgetNanos: row.soft_budget_nanos, budgets: readBudgets(row.budgets), byModel };
  const { temporary_nanos: nanos, temporary_until: until, budget_nanos: budget } = row;
  const raised = nanos !== null && until !== null && budget !== null;
  return { ...allowanceOf(limitsOf(row), extra), temporary: raised ? { nanos, until } : null };
}

function projectAllowance(row: NonNullable<CallerRows['project']>): Allowance {
  const limits = row.limits === null ? UNLIMITED : readLimits(row.limits);
  return allowanceOf(limits, readExtra(row.extra));
}

/** What the contract says and what was agreed beside it hold together. */
function tenantAllowance({ tenant, tenantBudget, agency }: CallerRows): Allowance {
  const agreed = contractLimitsOf(tenant);
  const contract =
    agreed === null ? NOTHING_LIMITED : withOverage(allowanceOf(agreed, NO_EXTRA), tenant, agency);
  const limits = tenant.limits === null ? UNLIMITED : readLimits(tenant.limits);
  const extra = readExtra(tenant.extra);
  const beside = tenantBudget === null ? allowanceOf(limits, extra) : attached(limits, extra, tenantBudget);
  return together(contract, beside);
}

/**
 * Where nothing beyond the included usage may be used, that is a budget of the month like any other; where
 * more goes slower, it is one that decides how fast. In the month in which the contract began or changed it
 * is what the days of that month include.
 */
function withOverage(
  allowed: Allowance,
  tenant: CallerRows['tenant'],
  { zone }: CallerRows['agency'],
): Allowance {
  const overage = overageFor(readTerms(tenant.terms));
  if (overage === null) return allowed;
  const { includedNanos: nanos, rates } = overage;
  const included = readIncluded(tenant.included);
  const month = periodOf(tenant.effective_from ?? tenant.onboarded_at, zone);
  const until = periodBounds(month, zone).endsAt;
  const ofMonth = monthlyIncluded(included, month, zone);
  const budget = { nanos, window: '1mo' };
  const temporary = { nanos: ofMonth - nanos, until };
  return rates === null
    ? { ...allowed, budgets: [budget, ...allowed.budgets], temporary }
    : { ...allowed, throttle: { budget, temporary, rates: { ...NO_RATES, ...rates } } };
}

/** The contract's, and those agreed beside it. */
export function tenantLimitsOf(tenant: CallerRows['tenant']): readonly Limits[] {
  const { limits } = tenant;
  const agreed = contractLimitsOf(tenant);
  const contract = agreed === null ? [] : [agreed];
  return limits === null ? contract : [...contract, readLimits(limits)];
}

function contractLimitsOf({ terms, agreed }: CallerRows['tenant']): Limits | null {
  return terms === null ? null : tenantLimitsFor(readTerms(terms), readAgreed(agreed));
}

/** What a member's row leaves open, the project says for all of its members. */
function memberAllowance({ project, member }: CallerRows): Allowance {
  const general = readMemberLimits(project!.member_limits);
  const own = member === null ? null : readMemberLimits(member.limits);
  const limits = {
    ...UNLIMITED,
    requestsPerMinute: own?.requestsPerMinute ?? general.requestsPerMinute,
    tokensPerMinute: own?.tokensPerMinute ?? general.tokensPerMinute,
    budget: own?.budget ?? general.budget,
  };
  return allowanceOf(limits, NO_EXTRA);
}

function served(aliases: Json): (model: string) => string {
  const names = aliases as Readonly<Record<string, string>>;
  return (model) => (Object.hasOwn(names, model) ? names[model]! : model);
}

/** The names under one member of a row's options. */
export function namesIn(options: Json, member: string): Readonly<Record<string, string>> {
  const names = (options as JsonObject)[member];
  if (typeof names !== 'object' || names === null || Array.isArray(names)) return {};
  return Object.fromEntries(
    Object.entries(names).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}
