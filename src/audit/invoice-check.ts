import { createHash } from 'node:crypto';
import type { Pool } from 'pg';
import { totalsOf } from '../domain/invoice-lines.ts';
import { formatInvoiceNumber } from '../domain/invoice-number.ts';
import {
  billedBy,
  type BilledLine,
  grantedBy,
  type InvoiceCancelled,
  type InvoiceDraft,
  type InvoiceFinalized,
} from '../domain/invoice.ts';
import { canonicalJson } from '../domain/json.ts';
import { formatCents, parseNanos } from '../domain/money.ts';
import type { Recorded } from '../events.ts';
import { type EventStore, UndecodableEvent } from '../store/event-store.ts';
import { type CheckResult, newCheck } from './check.ts';
import { type InvoicedUsage, tenantPeriod } from './spend-check.ts';

/**
 * Every invoice follows from the log: its lines from contract and usage at the cut, its sums from
 * its lines, its number from the series, and its document is the one that was sealed. It remembers
 * a few hundred bytes per invoice; lines and documents are read one invoice at a time.
 */
export interface InvoiceCheck {
  accept(recorded: Recorded): void;
  /** By tenantPeriod(). */
  readonly invoiced: ReadonlyMap<string, InvoicedUsage>;
  results(deps: InvoiceCheckDeps, onProgress?: (done: number, total: number) => void): Promise<CheckResult>;
}

export interface InvoiceCheckDeps {
  readonly store: Pick<EventStore, 'readStream'>;
  readonly pool: Pool;
  readonly recompute: RecomputeDraft;
}

/** Computes a draft again from the log and the usage of its period; null when they do not have it. */
export type RecomputeDraft = (invoice: {
  readonly invoiceId: string;
  readonly agencyId: string;
  readonly tenantId: string;
  readonly period: string;
  /** By month, in nanos: what invoices drafted before this one granted. */
  readonly includedGranted: ReadonlyMap<string, bigint>;
  /** Lines of those invoices, without the cancelled ones. */
  readonly billed: readonly BilledLine[];
}) => Promise<InvoiceDraft | null>;

interface Drafted {
  readonly position: bigint;
  readonly agencyId: string;
  readonly tenantId: string;
  readonly period: string;
  readonly draftHash: string;
  /** As the document states them. */
  readonly totals: { readonly net: string; readonly tax: string; readonly gross: string };
  readonly billed: readonly BilledLine[];
  readonly included: readonly { readonly month: string; readonly nanos: bigint }[];
  finalized: { readonly position: bigint; readonly data: InvoiceFinalized['data'] } | null;
  cancelled: { readonly position: bigint; readonly data: InvoiceCancelled['data'] } | null;
}

/** What changes how much of the included usage is left, in log order. */
type Step = readonly ['drafted' | 'cancelled', string, Drafted];

export function invoiceCheck(): InvoiceCheck {
  const check = newCheck('invoices');
  const drafts = new Map<string, Drafted>();
  const steps: Step[] = [];
  /** Stornorechnungen, by their ids: they have numbers and documents, and no drafts. */
  const cancellations = new Map<string, Drafted>();
  const numbers = new Map<string, string>();
  const invoiced = new Map<string, InvoicedUsage>();

  function accept(recorded: Recorded): void {
    const { event, position } = recorded;
    switch (event.type) {
      case 'invoice.drafted':
        return acceptDraft(recorded, event.data);
      case 'invoice.finalized': {
        const drafted = drafts.get(event.data.invoiceId);
        if (drafted === undefined)
          check.fail(position, `${event.data.invoiceId} was finalised without a draft`);
        else if (drafted.finalized !== null)
          check.fail(position, `${event.data.invoiceId} was finalised twice`);
        else drafted.finalized = { position, data: event.data };
        return;
      }
      case 'invoice.cancelled':
        return acceptCancellation(recorded, event.data);
      case 'number.assigned': {
        const { invoiceId } = event.data;
        const series = recorded.stream.slice(`numbers-${recorded.agencyId}-`.length);
        if (numbers.has(invoiceId)) check.fail(position, `${invoiceId} has a second number`);
        numbers.set(invoiceId, formatInvoiceNumber(series, Number(recorded.revision) + 1));
        return;
      }
      default:
    }
  }

  function acceptDraft({ position, agencyId, tenantId }: Recorded, draft: InvoiceDraft): void {
    const { invoiceId, period, lines, taxes, netCents, taxCents, grossCents } = draft;
    if (canonicalJson(totalsOf(lines)) !== canonicalJson({ taxes, netCents, taxCents, grossCents })) {
      check.fail(position, `the sums of ${invoiceId} do not follow from its lines`);
    }
    if (tenantId === null || drafts.has(invoiceId)) {
      return check.fail(position, `${invoiceId} was drafted ${tenantId === null ? 'for nobody' : 'twice'}`);
    }
    const usageNanos = lines.reduce((sum, { kind, nanos }) => (kind === 'usage' ? sum + nanos : sum), 0n);
    const id = tenantPeriod(tenantId, period);
    const replaced = draft.replaces === null ? undefined : drafts.get(draft.replaces);
    const isReplacement = replaced?.cancelled !== undefined && replaced.cancelled !== null;
    if (invoiced.has(id) && !isReplacement) check.fail(position, `${invoiceId} is a second invoice of ${id}`);
    invoiced.set(id, { nanos: usageNanos, position });
    const drafted: Drafted = {
      position,
      agencyId,
      tenantId,
      period,
      draftHash: sha256(canonicalJson(draft)),
      totals: { net: formatCents(netCents), tax: formatCents(taxCents), gross: formatCents(grossCents) },
      billed: billedBy(draft),
      included: grantedBy(draft),
      finalized: null,
      cancelled: null,
    };
    drafts.set(invoiceId, drafted);
    steps.push(['drafted', invoiceId, drafted]);
  }

  function acceptCancellation({ position }: Recorded, data: InvoiceCancelled['data']): void {
    const { invoiceId, cancellationId, included } = data;
    const drafted = drafts.get(invoiceId);
    if (drafted === undefined || drafted.finalized === null) {
      return check.fail(position, `${invoiceId} was cancelled and had not been finalised`);
    }
    if (drafted.cancelled !== null) return check.fail(position, `${invoiceId} was cancelled twice`);
    if (canonicalJson(included) !== canonicalJson(drafted.included)) {
      check.fail(
        position,
        `the cancellation of ${invoiceId} gives back other included usage than it had granted`,
      );
    }
    drafted.cancelled = { position, data };
    cancellations.set(cancellationId, drafted);
    steps.push(['cancelled', invoiceId, drafted]);
  }

  /** In log order, because what an invoice grants counts against the ones after it. */
  async function recomputeAll(
    { recompute }: InvoiceCheckDeps,
    onProgress: ((done: number, total: number) => void) | undefined,
  ): Promise<void> {
    const granted = new Map<string, Map<string, bigint>>();
    const billed = new Map<string, Map<string, readonly BilledLine[]>>();
    let done = 0;
    for (const [kind, invoiceId, drafted] of steps) {
      const { position, agencyId, tenantId, period, draftHash, included, billed: lines } = drafted;
      const includedGranted = granted.get(tenantId) ?? new Map<string, bigint>();
      granted.set(tenantId, includedGranted);
      const ofTenant = billed.get(tenantId) ?? new Map<string, readonly BilledLine[]>();
      billed.set(tenantId, ofTenant);
      if (kind === 'cancelled') {
        addTo(includedGranted, included, -1n);
        ofTenant.delete(invoiceId);
        continue;
      }
      try {
        const draft = await recompute({
          invoiceId,
          agencyId,
          tenantId,
          period,
          includedGranted,
          billed: [...ofTenant.values()].flat(),
        });
        if (draft === null)
          check.fail(position, `${invoiceId} has no closed period or no contract in the log`);
        else if (sha256(canonicalJson(draft)) !== draftHash) {
          check.fail(
            position,
            `${invoiceId} computed again has other lines and comes to ${formatCents(draft.grossCents)}`,
          );
        }
      } catch (error) {
        if (!(error instanceof UndecodableEvent)) throw error;
        check.fail(position, `${invoiceId} cannot be computed again: ${error.message}`);
      }
      addTo(includedGranted, included, 1n);
      ofTenant.set(invoiceId, lines);
      done += 1;
      onProgress?.(done, drafts.size);
    }
  }

  async function checkDocument(pool: Pool, invoiceId: string, drafted: Drafted): Promise<void> {
    const { finalized, totals } = drafted;
    if (finalized === null) return;
    const { position, data } = finalized;
    const assigned = numbers.get(invoiceId) ?? 'none';
    if (assigned !== data.number)
      check.fail(position, `${invoiceId} says ${data.number}; assigned was ${assigned}`);
    const row = await readDocument(pool, invoiceId);
    if (row === null) return check.fail(position, `the document of ${data.number} (${invoiceId}) is missing`);
    if (sha256(row.document) !== data.documentHash || row.hash !== data.documentHash) {
      return check.fail(position, `the document of ${data.number} (${invoiceId}) was altered`);
    }
    const document = JSON.parse(row.document) as {
      readonly number: string;
      readonly totals: Drafted['totals'];
    };
    const same =
      [row.number, document.number].every((number) => number === data.number) &&
      row.agency_id === drafted.agencyId &&
      row.tenant_id === drafted.tenantId &&
      canonicalJson(document.totals) === canonicalJson(totals);
    if (!same)
      check.fail(position, `the document of ${data.number} (${invoiceId}) is not about this invoice`);
  }

  /** The Stornorechnung has its own number and document, and comes to the opposite of the invoice. */
  async function checkCancellation(pool: Pool, cancellationId: string, drafted: Drafted): Promise<void> {
    const { position, data } = drafted.cancelled!;
    const assigned = numbers.get(cancellationId) ?? 'none';
    if (assigned !== data.number)
      check.fail(position, `${cancellationId} says ${data.number}; assigned was ${assigned}`);
    const row = await readDocument(pool, cancellationId);
    if (row === null)
      return check.fail(position, `the document of ${data.number} (${cancellationId}) is missing`);
    if (sha256(row.document) !== data.documentHash || row.hash !== data.documentHash) {
      return check.fail(position, `the document of ${data.number} (${cancellationId}) was altered`);
    }
    const { totals } = JSON.parse(row.document) as { readonly totals: Drafted['totals'] };
    const isOpposite = (['net', 'tax', 'gross'] as const).every(
      (name) => parseNanos(totals[name]) === -parseNanos(drafted.totals[name]),
    );
    if (!isOpposite) check.fail(position, `${data.number} does not come to the opposite of its invoice`);
  }

  /** An interrupted run leaves a document whose invoice is still a draft; none is ever without a draft. */
  async function checkStrays({ pool, store }: InvoiceCheckDeps): Promise<void> {
    const known = [...drafts.keys(), ...cancellations.keys()];
    const { rows } = await pool.query<{ invoice_id: string; agency_id: string; number: string }>(
      'select invoice_id, agency_id, number from invoice_documents where invoice_id <> all($1)',
      [known],
    );
    for (const { invoice_id, agency_id, number } of rows) {
      // Perhaps it was made after the log was read.
      if (await isEmpty(store.readStream(`invoice-${agency_id}-${invoice_id}`))) {
        check.fail(null, `the document ${number} (${invoice_id}) belongs to no invoice in the log`);
      }
    }
  }

  return {
    accept,
    invoiced,
    async results(deps, onProgress) {
      await recomputeAll(deps, onProgress);
      for (const [invoiceId, drafted] of drafts) await checkDocument(deps.pool, invoiceId, drafted);
      for (const [id, drafted] of cancellations) await checkCancellation(deps.pool, id, drafted);
      for (const [invoiceId, number] of numbers) {
        if (!drafts.has(invoiceId) && !cancellations.has(invoiceId))
          check.fail(null, `the number ${number} was given to ${invoiceId}, which was never drafted`);
      }
      await checkStrays(deps);
      const unfinished = [...drafts.values()].filter(({ finalized }) => finalized === null).length;
      const rest = unfinished === 0 ? '' : `; ${unfinished} drafts wait for their run to be repeated`;
      const taken = cancellations.size === 0 ? '' : `; ${cancellations.size} cancelled to zero`;
      return check.result(
        `${drafts.size - unfinished} finalised invoices computed again, documents unaltered, numbers 1 to N${taken}${rest}`,
      );
    },
  };
}

interface DocumentRow {
  readonly number: string;
  readonly agency_id: string;
  readonly tenant_id: string;
  readonly document: string;
  readonly hash: string;
}

async function readDocument(pool: Pool, invoiceId: string): Promise<DocumentRow | null> {
  const { rows } = await pool.query<DocumentRow>(
    'select number, agency_id, tenant_id, document, hash from invoice_documents where invoice_id = $1',
    [invoiceId],
  );
  return rows[0] ?? null;
}

async function isEmpty(events: AsyncIterable<unknown>): Promise<boolean> {
  for await (const _ of events) return false;
  return true;
}

function addTo(granted: Map<string, bigint>, included: Drafted['included'], sign: bigint): void {
  for (const { month, nanos } of included) granted.set(month, (granted.get(month) ?? 0n) + sign * nanos);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
