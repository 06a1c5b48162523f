import type { JsonObject } from '../domain/json.ts';
import { type Limits, UNLIMITED } from '../domain/limits.ts';
import { readLimits } from '../domain/terms-json.ts';
import type { Actor } from '../events.ts';
import type { Accounts } from './accounts.ts';
import { limitsOf, NOTHING_LIMITED } from './allowance.ts';
import {
  type CallerRows,
  type InstallationLimits,
  installationLevels,
  levelsOfKey,
  namesIn,
  tenantLimitsOf,
} from './caller-levels.ts';
import type { BudgetCap, Level } from './levels.ts';
import type { Tariff } from './offers.ts';
import { levelFor, type LevelsByModel } from './scope-levels.ts';

/** Who calls, and all that follows from it: derived from rows once, and as long as they are the same. */
export interface Caller {
  readonly keyId: string;
  /** Of the secret that was used. */
  readonly tokenHash: string;
  /** True for the administrator, whom only the limits of the installation concern. */
  readonly master: boolean;
  readonly actor: Actor;
  readonly agencyId: string;
  readonly tenantId: string;
  readonly projectId: string | null;
  readonly userId: string | null;
  readonly tags: readonly string[];
  /** Model lists that must all allow the model; [] allows all. */
  readonly keyModels: readonly string[];
  readonly projectModels: readonly string[];
  /** Of the tenant's contract, and of what was agreed beside it. */
  readonly tenantModels: readonly (readonly string[])[];
  /** Of the user to whom the key belongs; those of a project's key are the project's. */
  readonly userModels: readonly string[];
  readonly aliases: Readonly<Record<string, string>>;
  readonly projectAliases: Readonly<Record<string, string>>;
  readonly allowedRoutes: readonly string[];
  /** Parameters that every call must carry, each with the members that lead to it. */
  readonly enforcedParams: readonly EnforcedParam[];
  readonly expiresAt: string | null;
  readonly expiresAtMs: number;
  readonly projectBlocked: boolean;
  readonly tenantSuspended: boolean;
  readonly contractEnded: boolean;
  /** Null unless it is. */
  readonly suspendedReason: string | null;
  readonly userBlocked: boolean;
  readonly tariff: Tariff;
  /** The key's own. */
  readonly limits: Omit<Limits, 'models'>;
  /** The key's own first budget, while it has one. */
  readonly keyBudget: BudgetCap | null;
  /** That concern every request of the caller. */
  readonly levels: readonly Level[];
  /** The same with those of one model; null when no model has limits of its own. */
  readonly modelLevels: LevelsByModel | null;
  /** Zone of the agency. */
  readonly zone: string;
  /** The month, in the agency's zone, that an instant belongs to. */
  readonly monthOf: (ms: number) => string;
}

export interface EnforcedParam {
  /** As it was written, such as `metadata.customer`. */
  readonly name: string;
  readonly path: readonly string[];
}

export interface CallerDeps {
  readonly accounts: Accounts;
  readonly tariffOf: (tenant: CallerRows['tenant'], agency: CallerRows['agency']) => Tariff;
  readonly monthOf: (zone: string) => (ms: number) => string;
  readonly installation: InstallationLimits | null;
}

const MASTER_KEY_ID = 'master';
const MASTER_USER_ID = 'default_user_id';
const NO_NAMES: Readonly<Record<string, string>> = {};

export function callerOfKey(rows: CallerRows, deps: CallerDeps): Caller {
  const { key, project, tenant, agency, user } = rows;
  const personal = project === null && user !== null;
  const projectLimits = project === null || project.limits === null ? UNLIMITED : readLimits(project.limits);
  return {
    keyId: key.key_id,
    tokenHash: key.token_hash,
    master: false,
    actor: { id: key.key_id, kind: 'key' },
    agencyId: key.agency_id,
    tenantId: key.tenant_id,
    projectId: key.project_id,
    userId: key.user_id,
    tags: tagsOf(key),
    keyModels: key.models,
    projectModels: projectLimits.models,
    tenantModels: tenantLimitsOf(tenant).flatMap(({ models }) => (models.length === 0 ? [] : [models])),
    userModels: personal ? user.models : [],
    aliases: key.aliases as Readonly<Record<string, string>>,
    projectAliases: project === null ? NO_NAMES : namesIn(project.options, 'model_aliases'),
    allowedRoutes: key.allowed_routes,
    enforcedParams: key.enforced_params.map((name) => ({ name, path: name.split('.') })),
    expiresAt: key.expires_at,
    expiresAtMs: key.expires_at === null ? Infinity : Date.parse(key.expires_at),
    projectBlocked: project?.status === 'blocked',
    tenantSuspended: tenant.status === 'suspended',
    contractEnded: tenant.contract_id !== null && tenant.terms === null,
    suspendedReason: tenant.suspended_reason,
    userBlocked: user !== null && (user.options as JsonObject)['blocked'] === true,
    tariff: deps.tariffOf(tenant, agency),
    limits: limitsOf(key),
    ...levelsOfKey(rows, deps.accounts, deps.installation),
    zone: agency.zone,
    monthOf: deps.monthOf(agency.zone),
  };
}

/** The administrator works as the agency's own tenant, without limits but the installation's. */
export function masterCaller(
  tenant: CallerRows['tenant'],
  agency: CallerRows['agency'],
  deps: CallerDeps,
): Caller {
  const { zone } = agency;
  const own = {
    name: 'tenant',
    id: tenant.tenant_id,
    subject: `Organization=${tenant.tenant_id}`,
    zone,
  } as const;
  const installation = installationLevels(deps.accounts, deps.installation, zone);
  return {
    keyId: MASTER_KEY_ID,
    tokenHash: MASTER_KEY_ID,
    master: true,
    actor: { id: MASTER_KEY_ID, kind: 'master' },
    agencyId: tenant.agency_id,
    tenantId: tenant.tenant_id,
    projectId: null,
    userId: MASTER_USER_ID,
    tags: [],
    keyModels: [],
    projectModels: [],
    tenantModels: [],
    userModels: [],
    aliases: NO_NAMES,
    projectAliases: NO_NAMES,
    allowedRoutes: [],
    enforcedParams: [],
    expiresAt: null,
    expiresAtMs: Infinity,
    projectBlocked: false,
    tenantSuspended: false,
    contractEnded: false,
    suspendedReason: null,
    userBlocked: false,
    tariff: deps.tariffOf(tenant, agency),
    limits: UNLIMITED,
    keyBudget: null,
    // What it spends counts on its tenant, too, though no limit of that holds for it.
    levels: [levelFor(deps.accounts, own, NOTHING_LIMITED), ...installation],
    modelLevels: null,
    zone,
    monthOf: deps.monthOf(zone),
  };
}

/** A key's own tags, kept in its metadata as LiteLLM does. */
function tagsOf({ metadata }: CallerRows['key']): readonly string[] {
  const tags =
    typeof metadata === 'object' && metadata !== null && 'tags' in metadata ? metadata['tags'] : [];
  return Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : [];
}
