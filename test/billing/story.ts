/** Golden stories: what happened, in order and by date, and the documents that must come of it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { cancelInvoice } from '../../src/billing/invoice-life.ts';
import { runInvoices } from '../../src/billing/invoice-run.ts';
import type { InvoiceRunDeps } from '../../src/billing/issue-invoice.ts';
import { type InvoiceDocument, readDocument } from '../../src/billing/documents/invoice-document.ts';
import { vatIdHash } from '../../src/billing/tax-facts.ts';
import type { Agreed, Overage, Terms } from '../../src/domain/plan.ts';
import { parseNanos } from '../../src/domain/money.ts';
import { tenant } from '../../src/domain/tenant.ts';
import { UNITS } from '../../src/domain/spend.ts';
import { agreedOf, AgreedBody } from '../../src/http/agreed-body.ts';
import { PriceOfModel } from '../../src/plan-file.ts';
import { load } from '../../src/transact.ts';
import { agencyRegistered, spendRecorded, tenantOnboarded, terms } from '../support/events.ts';
import { BUYER, SELLER } from './documents/invoices.ts';
import type { Golden } from './golden.ts';
import { type MemoryBilling, memoryBilling } from './memory-billing.ts';

/** Amounts are net, as in a plan file; what is left out is nothing. */
const Plan = z.strictObject({
  name: z.string().default('studio'),
  fee: z.string().default('0.00'),
  included: z.string().default('0.00'),
  project_fee: z.string().optional(),
  included_tokens: z.number().optional(),
  included_requests: z.number().optional(),
  commitment: z.string().optional(),
  in_advance: z.literal(true).optional(),
  trial_days: z.number().optional(),
  throttle: z
    .strictObject({ requests_per_minute: z.number().nullable(), tokens_per_minute: z.number().nullable() })
    .optional(),
  models: z.record(z.string(), PriceOfModel).default({}),
});
const Step = z.strictObject({
  /** The day on which it happens, at 11:00 in Berlin or 12:00 in summer. */
  on: z.string(),
  /** Signs or changes the contract; `end` ends it. `from`: the day from which it holds. */
  contract: z.union([Plan, z.literal('end')]).optional(),
  agreed: AgreedBody.optional(),
  from: z.string().optional(),
  open: z.string().optional(),
  close_project: z.string().optional(),
  use: z
    .strictObject({
      project: z.string().nullable().default('prj_1'),
      model: z.string().default('gpt-4o-mini'),
      unit: z.enum(UNITS).default('output'),
      quantity: z.number(),
      /** Of a million. */
      price: z.string().default('0.60'),
      /** Of its admission; left out: that of the day. */
      month: z.string().optional(),
      times: z.number().default(1),
    })
    .optional(),
  small_business: z.string().optional(),
  check_vat_id: z.string().optional(),
  /** Closes the month and runs its invoices. */
  close: z.string().optional(),
  cancel: z.strictObject({ number: z.string(), reason: z.string() }).optional(),
});
const Contact = z.record(z.string(), z.unknown()).default({});
const Story = z.strictObject({
  currency: z.string().default('EUR'),
  seller: Contact,
  buyer: Contact,
  projects: z.record(z.string(), z.string()).default({ prj_1: 'Online-Shop', prj_2: 'Kundenservice' }),
  story: z.array(Step),
  /** By number. */
  expected: z.record(z.string(), z.custom<Golden['expected'] & { readonly kind: string }>()).default({}),
});
export type Story = z.output<typeof Story> & { readonly name: string };

const FOLDER = join(import.meta.dirname, 'golden-stories');

export function stories(): readonly Story[] {
  return readdirSync(FOLDER)
    .toSorted()
    .map((file) => {
      const read = Story.safeParse(parse(readFileSync(join(FOLDER, file), 'utf8')));
      if (!read.success) throw new Error(`${file}: ${z.prettifyError(read.error)}`);
      return { name: file.replace('.yaml', ''), ...read.data };
    });
}

export interface Told {
  /** Of a document's number. */
  readonly documents: ReadonlyMap<string, InvoiceDocument>;
  readonly billing: MemoryBilling;
}

export async function tell({ story, currency, seller, buyer, projects }: Story): Promise<Told> {
  const billing = memoryBilling(instant(story[0]!.on));
  billing.contacts.set('age_1', { ...SELLER, ...seller });
  billing.contacts.set('ten_1', { ...BUYER, ...buyer });
  const projectNames = () => Promise.resolve(new Map(Object.entries(projects)));
  const deps: InvoiceRunDeps = { ...billing, records: { ...billing.records, projectNames } };
  const begun = { occurredAt: instant(story[0]!.on) };
  await billing.append('agency-age_1', [agencyRegistered({ currency })], { tenantId: null, ...begun });
  await billing.append('tenant-ten_1', [tenantOnboarded()], { tenantId: 'ten_1', ...begun });
  for (const [index, step] of story.entries()) {
    billing.clock = instant(step.on);
    await happen(billing, deps, step, index, currency);
  }
  const documents = [...billing.documents.values()].map(({ document }) => readDocument(document));
  return { documents: new Map(documents.map((document) => [document.number, document])), billing };
}

function instant(day: string): string {
  return `${day}T10:00:00.000Z`;
}

async function happen(
  billing: MemoryBilling,
  deps: InvoiceRunDeps,
  step: z.output<typeof Step>,
  index: number,
  currency: string,
): Promise<void> {
  const { on, open, close_project: closed, use, small_business: small, check_vat_id: vatId } = step;
  const envelope = { tenantId: 'ten_1', occurredAt: instant(on) };
  const ofTenant = (event: Parameters<MemoryBilling['append']>[1][number]) =>
    billing.append('tenant-ten_1', [event], envelope);
  if (step.contract !== undefined) await agree(billing, step, index, currency);
  if (open !== undefined) {
    const data = { tenantId: 'ten_1', projectId: open, environments: [], limits: null };
    await ofTenant({ type: 'project.opened', data });
  }
  if (closed !== undefined) await ofTenant({ type: 'project.closed', data: { projectId: closed } });
  if (use !== undefined) await spend(billing, use, on, index);
  if (small !== undefined) {
    const data = { agencyId: 'age_1', from: small, status: 'small-business' } as const;
    const declared = [{ type: 'tax-status.declared', data }] as const;
    await billing.append('taxes-age_1', declared, { tenantId: null, occurredAt: instant(on) });
  }
  if (vatId !== undefined) await checked(billing, vatId, on);
  const actor = { kind: 'system', id: 'test' } as const;
  if (step.close !== undefined) {
    const cause = { actor, correlationId: `run ${step.close}` };
    const { invoices } = await runInvoices(deps, { period: step.close, agencyId: 'age_1', ...cause });
    for (const { error } of invoices) if (error !== null) throw new Error(`${step.close}: ${error.message}`);
  }
  if (step.cancel === undefined) return;
  const { number, reason } = step.cancel;
  const kept = [...billing.documents.values()].find((one) => one.number === number)!;
  const ref = { agencyId: 'age_1', tenantId: 'ten_1', invoiceId: kept.invoiceId };
  const cause = { actor, correlationId: 'cancel', causationId: 'cancel' };
  await cancelInvoice(deps, { ...ref, reason, replace: false, cause });
}

async function agree(
  billing: MemoryBilling,
  { on, contract, agreed, from = on }: z.output<typeof Step>,
  index: number,
  currency: string,
): Promise<void> {
  const state = await load(billing.store, tenant, 'tenant-ten_1');
  const known: Agreed | null = agreed === undefined ? null : agreedOf(agreed, from.slice(0, 7));
  const ends = contract === undefined || contract === 'end';
  const version = {
    contractId: `con_${index}`,
    effectiveFrom: instant(from),
    terms: ends ? null : termsOf(contract, index, currency),
    agreed: known,
  };
  const events = tenant.decide({ type: 'agree', version }, state);
  await billing.append('tenant-ten_1', events, { tenantId: 'ten_1', occurredAt: instant(on) });
  // Runs look at tenants whose contract has come into force.
  const after = await load(billing.store, tenant, 'tenant-ten_1');
  const applied = tenant.decide({ type: 'apply-contract', at: instant(on) }, after);
  await billing.append('tenant-ten_1', applied, { tenantId: 'ten_1', occurredAt: instant(on) });
}

function termsOf(plan: z.output<typeof Plan>, index: number, currency: string): Terms {
  const { throttle } = plan;
  const overage: Overage | undefined = throttle && {
    policy: 'throttle',
    requestsPerMinute: throttle.requests_per_minute,
    tokensPerMinute: throttle.tokens_per_minute,
  };
  const base = terms({ plan: plan.name, planVersion: index + 1, currency });
  return {
    ...base,
    monthlyFeeNanos: parseNanos(plan.fee),
    includedUsageNanos: parseNanos(plan.included),
    prices: { ...base.prices, models: { ...base.prices.models, ...plan.models } },
    ...(plan.project_fee === undefined ? {} : { projectFeeNanos: parseNanos(plan.project_fee) }),
    ...(plan.included_tokens === undefined ? {} : { includedTokens: BigInt(plan.included_tokens) }),
    ...(plan.included_requests === undefined ? {} : { includedRequests: BigInt(plan.included_requests) }),
    ...(plan.commitment === undefined ? {} : { commitmentNanos: parseNanos(plan.commitment) }),
    ...(plan.in_advance === undefined ? {} : { feesInAdvance: true }),
    ...(plan.trial_days === undefined ? {} : { trialDays: plan.trial_days }),
    ...(overage === undefined ? {} : { overage }),
  };
}

async function spend(
  billing: MemoryBilling,
  use: NonNullable<z.output<typeof Step>['use']>,
  on: string,
  index: number,
): Promise<void> {
  const { project, model, unit, quantity, price, month = on.slice(0, 7), times } = use;
  const priceRate = parseNanos(price);
  const priceNanos = (priceRate * BigInt(quantity)) / 1_000_000n;
  const lines = [{ unit, quantity, priceRate, priceNanos, costNanos: 0n }];
  const facts = { projectId: project, model, month, lines, priceNanos, costNanos: 0n };
  const events = Array.from({ length: times }, (_, i) =>
    spendRecorded({ requestId: `req_${index}_${i}`, ...facts }),
  );
  await billing.append('spend-2026-w1', events, { tenantId: 'ten_1', occurredAt: instant(on) });
}

async function checked(billing: MemoryBilling, vatId: string, on: string): Promise<void> {
  const data = {
    tenantId: 'ten_1',
    checkId: 'vck_1',
    valid: true,
    source: 'vies',
    checkedAt: instant(on),
    vatIdHash: vatIdHash(vatId),
    evidenceHash: '0'.repeat(64),
  } as const;
  const event = { type: 'vat-id.checked', data } as const;
  await billing.append('vat-checks-ten_1', [event], { tenantId: 'ten_1', occurredAt: instant(on) });
}
