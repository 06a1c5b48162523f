import type { Json } from '../domain/json.ts';
import type { Terms } from '../domain/plan.ts';
import type { TaxStatus } from '../domain/tax.ts';
import type { Actor } from '../events.ts';
import type { CommandMeta } from '../transact.ts';

/** What the routes of invoices need from billing. They come in as functions: see deps.ts. */
export const INVOICE_FILES = [
  'pdf',
  'cii',
  'xrechnung-cii',
  'xrechnung-ubl',
  'statement-csv',
  'statement-pdf',
] as const;
export type InvoiceFileKind = (typeof INVOICE_FILES)[number];

export interface ServedFile {
  readonly name: string;
  readonly mediaType: string;
  readonly bytes: Buffer;
}

export interface InvoiceRef {
  readonly agencyId: string;
  readonly tenantId: string;
  readonly invoiceId: string;
}

export type InvoiceLifeCommand =
  | { readonly type: 'send'; readonly channel: string }
  | {
      readonly type: 'pay';
      readonly paidOn: string;
      readonly method: string;
      readonly reference: string | null;
    }
  | {
      readonly type: 'fail-payment';
      readonly method: string;
      readonly reference: string | null;
      readonly reason: string;
    };

export interface VatCheckAnswer {
  readonly checkId: string;
  readonly evidence: {
    readonly source: string;
    readonly vat_id: string;
    readonly requester_vat_id: string | null;
    readonly valid: boolean;
    readonly checked_at: string;
    readonly request_date: string | null;
    readonly request_identifier: string | null;
    readonly name: string | null;
    readonly address: string | null;
    readonly note: string | null;
  };
}

export interface PreviewedLine {
  readonly kind: string;
  readonly project_id: string | null;
  readonly model: string | null;
  readonly unit: string | null;
  readonly quantity: string;
  /** Decimals. */
  readonly exact: string;
  readonly net: string;
}

export interface PreviewedInvoice {
  readonly lines: readonly PreviewedLine[];
  readonly net: string;
  /** What the month's usage was recorded at. */
  readonly recorded: string;
  readonly unpriced: readonly string[];
}

export interface BillingDesk {
  /** Prices the recorded usage of a month under other terms; writes nothing. */
  preview(request: {
    readonly agencyId: string;
    readonly tenantId: string;
    readonly period: string;
    readonly zone: string;
    readonly terms: Terms;
  }): Promise<PreviewedInvoice>;
  /** `name` is an id or a number of an invoice or Stornorechnung. */
  file(name: string, kind: InvoiceFileKind): Promise<ServedFile>;
  record(
    ref: InvoiceRef,
    command: InvoiceLifeCommand,
    meta: CommandMeta,
  ): Promise<{ readonly position: bigint }>;
  cancel(
    request: InvoiceRef & {
      readonly reason: string;
      readonly replace: boolean;
      readonly cause: { readonly actor: Actor; readonly correlationId: string; readonly causationId: string };
    },
  ): Promise<{
    readonly state: {
      readonly cancelled: { readonly cancellationId: string; readonly number: string } | null;
    };
    readonly replacement: {
      readonly finalized: { readonly invoiceId: string; readonly number: string };
    } | null;
    readonly position: bigint;
  }>;
  proof(ref: InvoiceRef): Promise<Json>;
  exportMonth(request: {
    readonly agencyId: string;
    readonly month: string;
    readonly format: 'datev' | 'csv';
  }): Promise<ServedFile>;
  checkVatId(request: {
    readonly agencyId: string;
    readonly tenantId: string;
    readonly byHand: { readonly valid: boolean; readonly checkedAt: string; readonly note: string } | null;
    readonly meta: CommandMeta;
  }): Promise<VatCheckAnswer & { readonly position: bigint }>;
  vatChecks(tenantId: string): Promise<readonly VatCheckAnswer[]>;
  declareTaxStatus(
    declaration: { readonly agencyId: string; readonly from: string; readonly status: TaxStatus },
    meta: CommandMeta,
  ): Promise<{ readonly position: bigint }>;
  /** In the order of their declaration. */
  taxStatuses(agencyId: string): Promise<readonly { readonly from: string; readonly status: TaxStatus }[]>;
  /** The brand as given, checked. Throws Refusal(invalid_input). */
  keepBrand(agencyId: string, brand: unknown): Promise<{ readonly version: number; readonly brand: Json }>;
  brand(agencyId: string): Promise<{ readonly version: number; readonly brand: Json }>;
}
