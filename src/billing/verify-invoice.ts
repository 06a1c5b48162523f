import { usage } from '../../projections/usage.ts';
import { billedBy, type BilledLine, grantedBy, type InvoiceDraft } from '../domain/invoice.ts';
import type { UsageSum } from '../domain/invoice-lines.ts';
import { canonicalJson } from '../domain/json.ts';
import { formatCents, formatNanos, parseNanos } from '../domain/money.ts';
import { Refusal } from '../errors.ts';
import type { Recorded } from '../events.ts';
import { memoryTable } from '../memory-table.ts';
import { decode } from '../store/codec.ts';
import type { EventStore } from '../store/event-store.ts';
import { type BillingRecords, documentHash, usageSum } from './billing-records.ts';
import { readDocument, totalsText } from './documents/invoice-document.ts';
import { closeOf, invoiceStream } from './log-facts.ts';
import { recomputeDraft } from './recompute.ts';

/**
 * Computes one invoice again from nothing but the log, and says where it differs from what was
 * drafted and from the document that was issued.
 */
export interface InvoiceProof {
  readonly invoice_id: string;
  readonly agency_id: string;
  readonly tenant_id: string;
  readonly period: string;
  readonly number: string | null;
  readonly equal: boolean;
  /** Sentences, [] when everything is equal. */
  readonly differences: readonly string[];
  /** What it follows from: positions in the log and hashes of the events. */
  readonly closed_position: string | null;
  readonly events: readonly { readonly type: string; readonly position: string; readonly hash: string }[];
  readonly spend_events: number;
  readonly document_hash: string | null;
  readonly totals: { readonly net: string; readonly tax: string; readonly gross: string };
}

export interface VerifyDeps {
  readonly store: EventStore;
  readonly records: Pick<BillingRecords, 'document'>;
}

export interface InvoiceRef {
  readonly invoiceId: string;
  readonly agencyId: string;
  readonly tenantId: string;
}

/** Throws Refusal(not_found). */
export async function verifyInvoice(deps: VerifyDeps, ref: InvoiceRef): Promise<InvoiceProof> {
  const { store, records } = deps;
  const { invoiceId, agencyId, tenantId } = ref;
  const history: Recorded[] = [];
  for await (const recorded of store.readStream(invoiceStream(agencyId, invoiceId))) history.push(recorded);
  const drafted = history.find(({ event }) => event.type === 'invoice.drafted');
  if (drafted?.event.type !== 'invoice.drafted') throw new Refusal('not_found', { what: 'invoice' });
  const draft = drafted.event.data;
  const close = await closeOf(store, agencyId, draft.period);
  const facts = await factsInLog(store, ref, { draftPosition: drafted.position, cut: close?.position ?? 0n });
  const again = await recomputeDraft(
    { store, records: { usage: () => Promise.resolve(facts.usage(draft.period)) } },
    {
      invoiceId,
      agencyId,
      tenantId,
      period: draft.period,
      includedGranted: facts.granted,
      billed: facts.billed,
    },
  );
  const finalized = history.find(({ event }) => event.type === 'invoice.finalized')?.event;
  const issued = finalized?.type === 'invoice.finalized' ? finalized.data : null;
  const kept = await records.document(invoiceId);
  const differences = [
    ...(again === null
      ? ['the log has no close of the period or no contract']
      : draftDifferences(draft, again)),
    ...(issued === null ? [] : documentDifferences(draft, issued, kept?.document ?? null)),
    ...(await cancellationDifferences(deps, history, draft)),
  ];
  return {
    invoice_id: invoiceId,
    agency_id: agencyId,
    tenant_id: tenantId,
    period: draft.period,
    number: issued?.number ?? null,
    equal: differences.length === 0,
    differences,
    closed_position: close === null ? null : String(close.position),
    events: history.map(({ event, position, hash }) => ({
      type: event.type,
      position: String(position),
      hash,
    })),
    spend_events: facts.spendEvents,
    document_hash: issued?.documentHash ?? null,
    totals: totalsText(draft),
  };
}

/** The tenant's usage and what its earlier invoices granted, folded from the log. */
async function factsInLog(
  store: EventStore,
  { agencyId, tenantId }: InvoiceRef,
  { draftPosition, cut }: { readonly draftPosition: bigint; readonly cut: bigint },
): Promise<{
  readonly usage: (period: string) => readonly UsageSum[];
  readonly granted: ReadonlyMap<string, bigint>;
  readonly billed: readonly BilledLine[];
  readonly spendEvents: number;
}> {
  const table = memoryTable(usage);
  const granted = new Map<string, bigint>();
  const billed = new Map<string, readonly BilledLine[]>();
  let spendEvents = 0;
  const add = (month: string, nanos: bigint) => granted.set(month, (granted.get(month) ?? 0n) + nanos);
  for await (const placed of store.readLog(0n)) {
    if (placed.position >= draftPosition) break;
    const { type } = placed;
    const isSpend = type === 'spend.recorded' && placed.tenantId === tenantId && placed.position <= cut;
    const isClose = type === 'period.closed' && placed.agencyId === agencyId;
    if (isSpend || isClose) table.apply(decode(placed));
    if (isSpend) spendEvents += 1;
    if (placed.tenantId !== tenantId) continue;
    if (type !== 'invoice.drafted' && type !== 'invoice.cancelled') continue;
    const { event } = decode(placed);
    if (event.type === 'invoice.drafted') billed.set(event.data.invoiceId, billedBy(event.data));
    if (event.type === 'invoice.cancelled') billed.delete(event.data.invoiceId);
    if (event.type === 'invoice.drafted') for (const one of grantedBy(event.data)) add(one.month, one.nanos);
    if (event.type === 'invoice.cancelled') for (const one of event.data.included) add(one.month, -one.nanos);
  }
  const rows = [...table.rows()];
  return {
    usage: (period) => rows.filter((row) => row.invoice_period === period).map(usageSum),
    granted,
    billed: [...billed.values()].flat(),
    spendEvents,
  };
}

function draftDifferences(draft: InvoiceDraft, again: InvoiceDraft): readonly string[] {
  if (canonicalJson(draft) === canonicalJson(again)) return [];
  const places = Math.max(draft.lines.length, again.lines.length);
  const differences: string[] = [];
  for (let i = 0; i < places; i += 1) {
    const [was, is] = [lineText(draft, i), lineText(again, i)];
    if (was !== is) differences.push(`line ${i + 1}: drafted ${was}, computed ${is}`);
  }
  for (const sum of ['netCents', 'taxCents', 'grossCents'] as const) {
    if (draft[sum] !== again[sum]) {
      differences.push(`${sum}: drafted ${formatCents(draft[sum])}, computed ${formatCents(again[sum])}`);
    }
  }
  return differences.length > 0 ? differences : ['the drafts differ in something beside lines and sums'];
}

function lineText({ lines, currency }: InvoiceDraft, index: number): string {
  const line = lines[index];
  if (line === undefined) return 'nothing';
  const { kind, serviceMonth, projectId, model, unit, quantity, nanos, netCents, tax } = line;
  const what = [kind, serviceMonth, projectId, model, unit].filter((part) => part !== null).join(' ');
  return `${what}: ${quantity} for ${formatNanos(nanos)}, ${formatCents(netCents)} ${currency} (${tax.category} ${tax.ratePercent} %)`;
}

/** A Stornorechnung and its invoice come to exactly zero. */
async function cancellationDifferences(
  { records }: VerifyDeps,
  history: readonly Recorded[],
  draft: InvoiceDraft,
): Promise<readonly string[]> {
  const cancelled = history.find(({ event }) => event.type === 'invoice.cancelled')?.event;
  if (cancelled?.type !== 'invoice.cancelled') return [];
  const { cancellationId, number, documentHash: hash } = cancelled.data;
  const kept = await records.document(cancellationId);
  if (kept === null) return [`the document of ${number} is missing`];
  if (documentHash(kept.document) !== hash) return [`the document of ${number} was altered`];
  const { totals, lines } = readDocument(kept.document);
  const isZero =
    (['net', 'tax', 'gross'] as const).every(
      (name) => parseNanos(totals[name]) + parseNanos(totalsText(draft)[name]) === 0n,
    ) &&
    lines.length === draft.lines.length &&
    lines.every((line, i) => line.net === formatCents(-draft.lines[i]!.netCents));
  return isZero ? [] : [`${number} and its invoice do not come to zero`];
}

function documentDifferences(
  draft: InvoiceDraft,
  { number, documentHash: hash }: { readonly number: string; readonly documentHash: string },
  text: string | null,
): readonly string[] {
  if (text === null) return [`the document of ${number} is missing`];
  if (documentHash(text) !== hash) return [`the document of ${number} was altered`];
  const document = readDocument(text);
  const same =
    document.number === number &&
    canonicalJson(document.totals) === canonicalJson(totalsText(draft)) &&
    document.lines.length === draft.lines.length &&
    document.lines.every((line, i) => line.net === formatCents(draft.lines[i]!.netCents));
  return same ? [] : [`the document of ${number} does not say what was drafted`];
}
