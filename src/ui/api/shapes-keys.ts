import type { Money } from './shapes-money.ts';

/** Keys, tenants and plans, as the API shows them. See contract.ts. */
export interface LimitBudget {
  readonly amount: string;
  readonly currency: string;
  readonly window: string | null;
}

export interface Limits {
  readonly requests_per_minute: number | null;
  readonly tokens_per_minute: number | null;
  readonly parallel_requests: number | null;
  readonly models: readonly string[];
  readonly budget: LimitBudget | null;
}

export interface Price {
  readonly input: Money;
  readonly cached_input: Money;
  readonly output: Money;
}

export interface PriceBook {
  readonly models: Readonly<Record<string, Price>>;
  readonly markup_percent: string | null;
}

export interface EnvironmentLimits {
  readonly production: Limits;
  readonly staging: Limits;
}

export interface Terms {
  readonly plan: string;
  readonly plan_version: number;
  readonly currency: string;
  readonly monthly_fee: Money;
  readonly included_usage: Money;
  readonly prices: PriceBook;
  readonly limits: EnvironmentLimits;
  readonly tenant_limits: Limits;
}

export interface Contract extends Terms {
  readonly id: string;
  readonly effective_from: string;
  /** What differs from the plan; null: nothing. */
  readonly agreed: unknown;
}

export interface Planned {
  readonly effective_from: string;
  readonly plan: string | null;
  readonly plan_version: number | null;
}

export interface Plan {
  readonly name: string;
  readonly version: number;
  readonly published_at: string;
  readonly terms: Terms;
}

export interface Tenant {
  readonly id: string;
  readonly name: string | null;
  readonly own: boolean;
  readonly status: string;
  readonly billing: Readonly<Record<string, string | null>> | null;
  readonly onboarded_at: string;
}

export interface KeySummary {
  readonly id: string;
  readonly alias: string | null;
  readonly environment: string | null;
  readonly key_name: string;
  readonly status: string;
  readonly expires_at: string | null;
  readonly limits: Limits;
}

export interface Project {
  readonly id: string;
  readonly name: string | null;
  readonly status: string;
  readonly environments: readonly string[];
  readonly opened_at: string;
  readonly keys: readonly KeySummary[];
}

export interface TenantDetails {
  readonly tenant: Tenant;
  readonly contract: Contract | null;
  readonly planned: readonly Planned[];
  readonly projects: readonly Project[];
}

export interface NewKey {
  readonly id: string;
  readonly alias: string | null;
  readonly environment: string | null;
  readonly secret: string;
}

export interface NewProject {
  readonly id: string;
  readonly name: string | null;
  readonly keys: readonly NewKey[];
}

export interface NewTenant {
  readonly tenant: Tenant;
  readonly projects: readonly NewProject[];
}

export interface OpenedProject {
  readonly project: NewProject;
}

export interface Key {
  readonly key_id: string;
  readonly key_name: string;
  readonly key_alias: string | null;
  readonly spend: number;
  readonly expires: string | null;
  readonly models: readonly string[];
  readonly user_id: string | null;
  readonly team_id: string | null;
  readonly organization_id: string | null;
  readonly environment: string | null;
  readonly max_parallel_requests: number | null;
  readonly tpm_limit: number | null;
  readonly rpm_limit: number | null;
  readonly max_budget: number | null;
  readonly budget_duration: string | null;
  readonly budget_reset_at: string | null;
  readonly blocked: boolean;
  readonly status: 'active' | 'blocked' | 'deleted';
  readonly created_at: string;
  readonly created_by: string;
  readonly last_active: string | null;
  readonly rotation_count: number;
  readonly last_rotation_at: string | null;
  readonly tags: readonly string[];
}

export interface KeyBudget {
  readonly key_id: string;
  readonly window: string | null;
  readonly budget: Money;
  readonly spent: Money;
}

export interface KeyList {
  readonly keys: readonly Key[];
  readonly total_count: number;
  readonly current_page: number;
  readonly total_pages: number;
}

export interface KeyInfo {
  readonly key: string;
  readonly info: Key;
}

export interface KeyMade {
  readonly key: string;
  readonly key_id: string;
  readonly key_alias: string | null;
}

export interface LastMinute {
  readonly requests: number;
  readonly tokens: number;
}

export interface LimitLevel {
  readonly level: 'key' | 'user' | 'project' | 'tenant';
  readonly id: string;
  readonly limits: Limits;
  readonly last_minute: LastMinute;
  readonly spent: Money | null;
  readonly resets_at: string | null;
}

export interface KeyLimits {
  readonly key_id: string;
  readonly at: string;
  readonly levels: readonly LimitLevel[];
}

export interface FieldChange {
  readonly field: string;
  readonly before: unknown;
  readonly after: unknown;
}

export interface Actor {
  readonly kind: string;
  readonly id: string;
  readonly on_behalf_of: string | null;
}

export interface HistoryStep {
  readonly position: string;
  readonly type: string;
  readonly recorded_at: string;
  readonly actor: Actor;
  readonly correlation_id: string;
  readonly changes: readonly FieldChange[];
  readonly state: Readonly<Record<string, unknown>>;
}

export interface HistoryBudget {
  readonly level: string;
  readonly window: string | null;
  readonly budget: string;
  readonly spent: string;
  readonly currency: string;
}

export interface KeyHistory {
  readonly key_id: string;
  readonly at: string;
  readonly budgets: readonly HistoryBudget[];
  readonly state: Readonly<Record<string, unknown>> | null;
  readonly acceptance: Readonly<Record<string, unknown>>;
  readonly steps: readonly HistoryStep[];
}
