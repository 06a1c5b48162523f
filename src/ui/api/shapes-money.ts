/** Amounts, usage and invoices, as the API shows them. See contract.ts. */
export interface Money {
  /** Decimal, exact. */
  readonly amount: string;
  readonly currency: string;
}

export interface Listed<Item> {
  readonly data: readonly Item[];
  readonly next_cursor: string | null;
}

export interface AttentionTight {
  readonly key_id: string;
  readonly alias: string | null;
  readonly tenant_id: string;
  readonly spent: Money;
  readonly budget: Money;
}

export interface AttentionScope {
  readonly kind: string;
  readonly id: string;
  readonly tenant_id: string;
  readonly spent: Money;
  readonly budget: Money;
}

export interface AttentionExpiring {
  readonly key_id: string;
  readonly alias: string | null;
  readonly tenant_id: string;
  readonly expires_at: string;
}

export interface InvoiceSum {
  readonly status: string;
  readonly count: number;
  readonly gross: Money;
}

export interface Overview {
  readonly month: string;
  readonly tight: readonly AttentionTight[];
  readonly tight_scopes: readonly AttentionScope[];
  readonly expiring: readonly AttentionExpiring[];
  readonly invoices: readonly InvoiceSum[];
}

export interface UsageSum {
  readonly group: Readonly<Record<string, string | null>>;
  readonly requests: number;
  readonly failed: number;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly price: Money;
  readonly cost: Money | null;
}

export interface Usage {
  readonly data: readonly UsageSum[];
  readonly truncated: boolean;
  readonly names: Readonly<Record<string, string>>;
}

export interface LoggedRequest {
  readonly request_id: string;
  readonly position: string;
  readonly at: string;
  readonly tenant_id: string;
  readonly project_id: string | null;
  readonly key_id: string;
  readonly user_id: string | null;
  readonly end_user: string | null;
  readonly tags: readonly string[];
  readonly route: string;
  readonly model: string;
  readonly deployment: string | null;
  readonly stream: boolean;
  readonly outcome: string;
  readonly status: number;
  readonly usage_source: string;
  readonly input_tokens: number;
  readonly cached_input_tokens: number;
  readonly output_tokens: number;
  readonly price: Money;
  readonly cost: Money | null;
  readonly duration_ms: number;
  readonly first_byte_ms: number | null;
}

export interface TenantFigures {
  readonly id: string;
  readonly name: string | null;
  readonly own: boolean;
  readonly status: string;
  readonly onboarded_at: string;
  readonly plan: string | null;
  readonly plan_version: number | null;
  readonly monthly_fee: Money | null;
  readonly included_usage: Money | null;
  readonly budget: Money | null;
  readonly month: string;
  readonly spent: Money;
  readonly requests: number;
  readonly projects: number;
  readonly keys: number;
}

export interface Invoice {
  readonly id: string;
  readonly number: string | null;
  readonly tenant_id: string;
  readonly period: string;
  readonly status: string;
  readonly net: Money;
  readonly tax: Money;
  readonly gross: Money;
  readonly issued_on: string | null;
  readonly due_on: string | null;
  readonly paid_on: string | null;
  readonly payment_problem: string | null;
  readonly cancellation: Cancellation | null;
  readonly replaces: string | null;
}

export interface Cancellation {
  readonly id: string;
  readonly number: string;
  readonly issued_on: string;
  readonly reason: string;
}

export interface InvoiceLine {
  readonly kind: string;
  readonly project_id: string | null;
  readonly model: string | null;
  readonly unit: string | null;
  readonly service_month: string;
  readonly quantity: number;
  readonly price_per_million: Money | null;
  readonly amount: Money;
  readonly tax_rate_percent: string;
}

export interface InvoiceTax {
  readonly category: string;
  readonly rate_percent: string;
  readonly net: Money;
  readonly tax: Money;
}

export interface Dispute {
  readonly status: string;
  readonly reason: string;
}

export interface InvoiceCollection {
  readonly provider: string | null;
  readonly reference: string | null;
  readonly payment_link: string | null;
  readonly refunded: Money;
  readonly dispute: Dispute | null;
  readonly reminders: number;
  readonly reminded_on: string | null;
}

export interface InvoiceDetails extends Invoice {
  readonly lines: readonly InvoiceLine[];
  readonly taxes: readonly InvoiceTax[];
  readonly collection: InvoiceCollection | null;
  readonly document_hash: string | null;
}

export interface RunFailure {
  readonly reason: string;
  readonly message: string;
}

export interface RunInvoice {
  readonly id: string;
  readonly tenant_id: string;
  readonly status: string;
  readonly number: string | null;
  readonly gross: Money | null;
  readonly error: RunFailure | null;
}

export interface AgencyRun {
  readonly agency_id: string;
  readonly invoices: readonly RunInvoice[];
}

export interface RunAnswer {
  readonly period: string;
  readonly runs: readonly AgencyRun[];
}
