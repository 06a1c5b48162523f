import type { BillingSettings, PaymentMethod } from '../domain/billing-settings.ts';
import type { Json } from '../domain/json.ts';
import type { CommandMeta } from '../transact.ts';

/** What the routes of collecting need from billing. They come in as functions: see deps.ts. */
export interface OutboxTask {
  readonly taskId: string;
  readonly kind: string;
  readonly agencyId: string;
  readonly tenantId: string;
  readonly invoiceId: string;
  readonly status: string;
  readonly attempts: number;
  readonly dueAt: string;
  readonly note: string | null;
  readonly createdAt: string;
  readonly endedAt: string | null;
  readonly position: bigint;
}

export interface OutboxFacts {
  readonly waiting: number;
  readonly failing: number;
  readonly stopped: number;
  /** Instant; null when nothing waits. */
  readonly oldestAt: string | null;
}

export interface ScheduledRun {
  readonly agencyId: string;
  readonly period: string;
  readonly attempts: number;
  readonly nextAt: string | null;
  readonly report: Json;
  readonly problem: string | null;
  readonly startedAt: string;
  readonly endedAt: string | null;
}

export interface CollectionDesk {
  settings(agencyId: string): Promise<BillingSettings>;
  /** `invoiceRun` begins with the month that is running. */
  changeSettings(
    agencyId: string,
    settings: Partial<Omit<BillingSettings, 'stripe' | 'invoiceRun'>> & {
      readonly invoiceRun?: { readonly graceHours: number } | null;
    },
    meta: CommandMeta,
  ): Promise<{ readonly position: bigint }>;
  /** Throws Refusal(collector_unavailable). */
  setStripe(
    agencyId: string,
    given: {
      readonly secretKey: string;
      readonly webhookSecret: string;
      readonly methods: readonly PaymentMethod[];
    },
    meta: CommandMeta,
  ): Promise<{ readonly position: bigint }>;
  removeStripe(agencyId: string, meta: CommandMeta): Promise<{ readonly position: bigint }>;
  /** Throws Refusal(webhook_invalid | not_found | collector_unavailable). */
  receive(
    agencyId: string,
    message: { readonly body: string; readonly signature: string },
  ): Promise<{ readonly outcome: string }>;
  /** Where an invoice can be paid; null when nobody collects it. */
  paymentLink(invoiceId: string): Promise<string | null>;
  /** The same, asked for anew when it is old. Throws Refusal(not_found | collector_unavailable). */
  paymentPage(invoiceId: string): Promise<string>;
  tasks(filter: {
    readonly status: string | null;
    readonly after: { readonly position: bigint; readonly taskId: string } | null;
    readonly limit: number;
  }): Promise<readonly OutboxTask[]>;
  tasksOfInvoice(invoiceId: string): Promise<readonly OutboxTask[]>;
  /** Throws Refusal(not_found). */
  retry(taskId: string): Promise<OutboxTask>;
  outboxFacts(): Promise<OutboxFacts>;
  scheduledRuns(agencyId: string | null): Promise<readonly ScheduledRun[]>;
}
