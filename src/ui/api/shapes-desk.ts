import type { Contract, Limits, Planned } from './shapes-keys.ts';
import type { Money } from './shapes-money.ts';

/** Changes of contracts, models, margin, and what brings the money in. See contract.ts. */
export interface LimitDiff {
  readonly limit: keyof Limits;
}

export interface LimitsChange {
  readonly before: Limits;
  readonly after: Limits;
  readonly changes: readonly LimitDiff[];
}

export interface KeyChange extends LimitsChange {
  readonly id: string;
  readonly alias: string | null;
}

export interface BeforeAfter {
  readonly before: Money;
  readonly after: Money;
}

export interface MonthChange {
  readonly period: string;
  readonly fee: BeforeAfter;
  readonly included_usage: BeforeAfter;
}

export interface ContractChange {
  readonly kind: 'upgrade' | 'downgrade' | 'end';
  readonly effective_from: string;
  readonly before: Contract | null;
  readonly after: Contract | null;
  readonly dropped: readonly Planned[];
  readonly keys: readonly KeyChange[];
  readonly tenant_limits: LimitsChange;
  readonly month: MonthChange;
}

export interface ModelFacts {
  readonly id: string;
  readonly db_model: boolean;
  readonly mode: string;
}

export interface Model {
  readonly model_name: string;
  readonly litellm_params: Readonly<Record<string, unknown>>;
  readonly model_info: ModelFacts;
}

export interface Models {
  readonly data: readonly Model[];
}

export interface MarginRow {
  readonly tenant_id: string;
  readonly project_id: string | null;
  readonly requests: number;
  readonly tokens: string;
  readonly price: Money;
  readonly cost: Money;
  readonly flat_cost: Money;
  readonly margin: Money;
}

export interface UnspreadFee {
  readonly deployment: string;
  readonly flat_cost: Money;
}

export interface Margin {
  readonly period: string;
  readonly data: readonly MarginRow[];
  readonly unspread: readonly UnspreadFee[];
}

export interface InvoiceRunSchedule {
  readonly from: string;
  readonly grace_hours: number;
}

export interface StripeAccount {
  readonly account_id: string;
  readonly mode: string;
  readonly methods: readonly string[];
}

export interface BillingSettings {
  readonly agency_id: string;
  readonly mail: boolean;
  readonly reminder_days: readonly number[];
  readonly suspend_after_days: number | null;
  readonly invoice_run: InvoiceRunSchedule | null;
  readonly stripe: StripeAccount | null;
}

export interface OutboxTask {
  readonly id: string;
  readonly kind: string;
  readonly tenant_id: string;
  readonly invoice_id: string;
  readonly status: string;
  readonly attempts: number;
  readonly due_at: string;
  readonly note: string | null;
  readonly created_at: string;
}

export interface OutboxFacts {
  readonly waiting: number;
  readonly failing: number;
  readonly stopped: number;
}

export interface Outbox {
  readonly data: readonly OutboxTask[];
  readonly next_cursor: string | null;
  readonly facts: OutboxFacts;
}

export interface ScheduledRun {
  readonly period: string;
  readonly attempts: number;
  readonly next_at: string | null;
  readonly problem: string | null;
  readonly started_at: string;
  readonly ended_at: string | null;
}

export interface ScheduledRuns {
  readonly data: readonly ScheduledRun[];
}

export interface PreviewLine {
  readonly kind: string;
  readonly project_id: string | null;
  readonly model: string | null;
  readonly unit: string | null;
  readonly quantity: string;
  readonly net: string;
}

export interface InvoicePreview {
  readonly period: string;
  readonly plan: string;
  readonly plan_version: number;
  readonly currency: string;
  readonly lines: readonly PreviewLine[];
  readonly net: string;
  readonly recorded: string;
  readonly unpriced: readonly string[];
}

export interface BrandLogo {
  readonly type: string;
  /** Base64. */
  readonly data: string;
}

export interface BrandTexts {
  readonly intro: string | null;
  readonly closing: string | null;
}

/** What a brand is made of; the API describes it in words. */
export type Brand = {
  readonly accent: string;
  readonly logo: BrandLogo | null;
  readonly texts: Readonly<Partial<Record<'de' | 'en', BrandTexts>>>;
};

export interface KeptBrand {
  readonly version: number;
  readonly brand: Brand;
}

export interface DatedTaxStatus {
  readonly from: string;
  readonly status: string;
}

export interface AlertDelivery {
  readonly status: string;
  readonly note: string | null;
  readonly at: string;
}

export interface AlertTarget {
  readonly id: string;
  readonly channel: string;
  readonly address: string | null;
  readonly alerts: readonly string[];
  readonly language: string;
  readonly active: boolean;
  readonly last: AlertDelivery | null;
}

export interface AlertMade {
  readonly id: string;
  readonly secret: string | null;
}

export interface AlertTried {
  readonly ok: boolean;
  readonly detail: string;
  readonly duration_ms: number;
}

export interface AgreedBy {
  readonly kind: string;
  readonly id: string;
  readonly name: string | null;
}

export interface ContractDifference {
  readonly place: string;
  readonly what: string;
  readonly before: string | null;
  readonly after: string | null;
}

export interface Agreement {
  readonly position: string;
  readonly at: string;
  readonly by: AgreedBy;
  readonly kind: 'signed' | 'amended' | 'ended';
  readonly effective_from: string;
  readonly plan: string | null;
  readonly plan_version: number | null;
  readonly monthly_fee: Money | null;
  readonly in_force: boolean;
  readonly superseded: boolean;
  readonly changes: readonly ContractDifference[];
}
