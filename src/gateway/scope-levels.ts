import type { Budget } from '../domain/limits.ts';
import { type Accounts, newOwner } from './accounts.ts';
import { type Allowance, isLimited, NOTHING_LIMITED } from './allowance.ts';
import type { BudgetOwner, Correction } from './budget.ts';
import type { Account, BudgetCap, Level, LevelName } from './levels.ts';
import { matchesName } from './model-names.ts';

/** Makes levels out of what is allowed; done once per row, not per request. */
export interface Scope {
  readonly name: LevelName;
  /** In the ledger. */
  readonly id: string;
  /** As callers know it; the id where left out. */
  readonly shownId?: string;
  readonly subject: string;
  readonly zone: string;
  readonly correction?: Correction | null;
}

/** A level that concerns only some models. */
export interface ModelLevel {
  /** A public name, `prefix/*` or `*`. */
  readonly model: string;
  readonly level: Level;
}

const LITELLM_SCOPES: Readonly<Record<LevelName, string>> = {
  key: 'api_key',
  project: 'team',
  member: 'team_member',
  user: 'user',
  tenant: 'organization',
  overage: 'organization_overage',
  'tenant-member': 'organization_member',
  'end-user': 'end_user',
  tag: 'tag',
  provider: 'provider',
  installation: 'installation',
};
const MODEL_SCOPES: Readonly<Partial<Record<LevelName, string>>> = {
  key: 'model_per_key',
  project: 'model_per_team',
};

/** The level of a scope, whether something is limited there or not. */
export function levelFor(accounts: Accounts, scope: Scope, allowance: Allowance): Level {
  const { name, id, shownId = id, subject, zone, correction = null } = scope;
  const account = accounts.get(name, id);
  return {
    name,
    id: shownId,
    scope: LITELLM_SCOPES[name],
    subject,
    limits: allowance.rates,
    ...withThrottle(accounts, scope, account, allowance),
    correction,
    zone,
    account,
  };
}

/** The budget that slows down comes last: no other one shares its place. */
function withThrottle(
  accounts: Accounts,
  scope: Scope,
  account: Account,
  allowance: Allowance,
): Pick<Level, 'budgets' | 'soft'> {
  const found = budgetsFor(account, allowance);
  const { throttle } = allowance;
  if (throttle === undefined) return found;
  const { budget, temporary, rates } = throttle;
  const beyond = levelFor(accounts, { ...scope, name: 'overage' }, { ...NOTHING_LIMITED, rates });
  const place = found.budgets.length + (found.soft === null ? 0 : 1);
  const cap = { ...capOf(budget, temporary, ownerAt(account, place), false), beyond };
  return { ...found, budgets: [...found.budgets, cap] };
}

/** Null, and nothing is counted, unless something is limited. */
export function levelIfLimited(accounts: Accounts, scope: Scope, allowance: Allowance): Level | null {
  if (isLimited(allowance)) return levelFor(accounts, scope, allowance);
  accounts.forget(scope.name, scope.id);
  return null;
}

/** `nameOf` gives the model that serves a name. */
export function modelLevelsFor(
  accounts: Accounts,
  scope: Scope,
  { byModel }: Allowance,
  nameOf: (model: string) => string = (model) => model,
): readonly ModelLevel[] {
  const { name, id, shownId = id, subject, zone } = scope;
  const found = new Map<string, ModelLevel>();
  for (const [named, { requestsPerMinute, tokensPerMinute, budget }] of Object.entries(byModel)) {
    const model = nameOf(named);
    // What is said of the model itself counts more than what is said of another name of it.
    if (model !== named && Object.hasOwn(byModel, model)) continue;
    const account = accounts.get(name, id, model);
    const budgets = budget === null ? [] : [budget];
    const level: Level = {
      name,
      id: `${shownId}:${model}`,
      scope: MODEL_SCOPES[name] ?? `model_per_${LITELLM_SCOPES[name]}`,
      subject: `${subject} exceeded budget for model=${model}.`,
      limits: { requestsPerMinute, tokensPerMinute, parallelRequests: null },
      ...budgetsFor(account, { budgets, temporary: null, soft: null }),
      correction: null,
      zone,
      account,
    };
    found.set(model, { model, level });
  }
  accounts.forgetModelsBut(name, id, new Set(found.keys()));
  return [...found.values()];
}

function budgetsFor(
  account: Account,
  { budgets, temporary, soft }: Pick<Allowance, 'budgets' | 'temporary' | 'soft'>,
): Pick<Level, 'budgets' | 'soft'> {
  const caps: BudgetCap[] = [];
  budgets.forEach((budget, i) => {
    const raise = i === 0 ? temporary : null;
    const index = caps.findIndex(({ window }) => window === budget.window);
    if (index === -1) caps.push(capOf(budget, raise, ownerAt(account, caps.length), i > 0));
    else caps[index] = lower(caps[index]!, budget.nanos);
  });
  const same = soft === null ? undefined : caps.find(({ window }) => window === soft.window);
  return {
    budgets: caps,
    soft: soft === null ? null : { ...soft, owner: same?.owner ?? ownerAt(account, caps.length) },
  };
}

function capOf(
  { nanos, window }: Budget,
  raise: Allowance['temporary'],
  owner: BudgetOwner,
  named: boolean,
): BudgetCap {
  const raised =
    raise === null
      ? { raisedNanos: nanos, raisedUntilMs: -Infinity }
      : { raisedNanos: nanos + raise.nanos, raisedUntilMs: Date.parse(raise.until) };
  return { nanos, window, ...raised, owner, note: named && window !== null ? ` over ${window} budget.` : '' };
}

/** Two budgets with one window are the smaller one. */
function lower(cap: BudgetCap, nanos: bigint): BudgetCap {
  const { nanos: before, raisedNanos } = cap;
  return {
    ...cap,
    nanos: nanos < before ? nanos : before,
    raisedNanos: nanos < raisedNanos ? nanos : raisedNanos,
  };
}

function ownerAt({ owners }: Account, index: number): BudgetOwner {
  while (owners.length <= index) owners.push(newOwner());
  return owners[index]!;
}

/** Adds the levels that concern a model, without asking anew for each request. */
export interface LevelsByModel {
  of(model: string): readonly Level[];
}

/** Clients choose the names that a wildcard serves, so what is remembered for names is bounded. */
const REMEMBERED_MAX = 1_000;

export function levelsByModel(
  levels: readonly Level[],
  modelLevels: readonly ModelLevel[],
): LevelsByModel | null {
  if (modelLevels.length === 0) return null;
  const remembered = new Map<string, readonly Level[]>();
  return {
    of(model) {
      let found = remembered.get(model);
      if (found === undefined) {
        if (remembered.size >= REMEMBERED_MAX) remembered.clear();
        remembered.set(model, (found = [...levels, ...concerning(modelLevels, model)]));
      }
      return found;
    },
  };
}

export function concerning(modelLevels: readonly ModelLevel[], model: string): readonly Level[] {
  return modelLevels.filter((entry) => matchesName(entry.model, model)).map(({ level }) => level);
}
