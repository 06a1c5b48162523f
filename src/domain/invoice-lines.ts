import { type ContractFacts, contractFeeLines, monthLines, type Untaxed } from './contract-lines.ts';
import { discountLines } from './discount-lines.ts';
import type { InvoiceDraft, InvoiceLine, InvoiceTax } from './invoice.ts';
import { toCents } from './money.ts';
import type { Terms } from './plan.ts';
import { UNITS, type Unit } from './spend.ts';
import { type DatedTaxStatus, lineTax, TAX_CATEGORIES, type TaxCase, taxOn } from './tax.ts';

/**
 * From usage and contract terms to the lines of an invoice. Pure, so that the same facts give the
 * same invoice when a run is repeated and when an auditor recomputes it years later.
 *
 * Rounding: every line is rounded to cents once, half up; VAT once per category
 * and rate, on the sum of its lines.
 * Included usage takes off the exact amount that it covers, rounded like any line. Where the
 * rounding of the month's usage lines went against the tenant it takes off more, so that a month
 * never comes to more than its exact rest, rounded; and what is covered in full comes to 0.00.
 */

/** Usage of one project, model, unit and price in one month, as the projection `usage` sums it. */
export interface UsageSum {
  /** Null for usage by keys without a project. */
  readonly projectId: string | null;
  readonly model: string;
  readonly unit: Unit;
  /** Nanos per million tokens. */
  readonly priceRate: bigint;
  /** `YYYY-MM` in which the service was rendered. */
  readonly month: string;
  /** Tokens. */
  readonly quantity: bigint;
  /** Requests, each counted in one sum only. */
  readonly requests?: bigint | undefined;
  readonly priceNanos: bigint;
}

export interface InvoiceFacts {
  readonly invoiceId: string;
  /** `YYYY-MM`. */
  readonly period: string;
  readonly terms: Terms;
  /** False when the contract takes effect after the period: then only usage is charged. */
  readonly feeDue: boolean;
  /** Everything that the close of the period put on this invoice, in any order. */
  readonly usage: readonly UsageSum[];
  /** By month: what earlier invoices granted of that month's included usage, in nanos. */
  readonly includedGranted: ReadonlyMap<string, bigint>;
  /** The contract through time. Left out: drafted before there was such a thing; see InvoiceDraft.rules. */
  readonly contract?: ContractFacts | undefined;
  readonly taxCase: TaxCase;
  readonly taxStatuses: readonly DatedTaxStatus[];
  /** See InvoiceDraft. */
  readonly replaces: string | null;
}

/** Always the same draft for the same facts, in whatever order they come. */
export function draftInvoice(facts: InvoiceFacts): InvoiceDraft {
  const { invoiceId, period, terms, taxCase, taxStatuses, replaces } = facts;
  const usage = facts.usage.map((sum) => withRequests(usageLine(sum), sum, facts.contract)).toSorted(byPlace);
  const untaxed =
    facts.contract === undefined ? wholeMonths(facts, usage) : byContract(period, usage, facts.contract);
  const lines = untaxed.map((line) => ({ ...line, tax: lineTax(taxCase, taxStatuses, line.serviceMonth) }));
  const rules = facts.contract === undefined ? {} : { rules: 2 as const };
  return {
    invoiceId,
    period,
    ...rules,
    currency: terms.currency,
    taxCase,
    replaces,
    lines,
    ...totalsOf(lines),
  };
}

function byContract(period: string, usage: readonly Untaxed[], contract: ContractFacts): Untaxed[] {
  const months = new Set([...usage.map(({ serviceMonth }) => serviceMonth), ...contract.amended, period]);
  const ofMonths = [...months].toSorted(compare).flatMap((month) => {
    const ofMonth = usage.filter(({ serviceMonth }) => serviceMonth === month);
    return [...ofMonth, ...monthLines(month, ofMonth, contract)];
  });
  const lines = [...contractFeeLines(period, contract), ...ofMonths];
  return [...lines, ...discountsOf(lines, new Set([...months, ...contract.feeMonths]), contract)];
}

function discountsOf(
  lines: readonly Untaxed[],
  months: ReadonlySet<string>,
  contract: ContractFacts,
): Untaxed[] {
  return [...months].toSorted(compare).flatMap((month) =>
    discountLines(
      month,
      contract.parts(month).at(-1)?.discounts ?? [],
      lines.filter(({ serviceMonth }) => serviceMonth === month),
      contract.billed.filter((line) => line.month === month),
    ),
  );
}

function wholeMonths(
  { period, terms, feeDue, includedGranted }: InvoiceFacts,
  usage: readonly Untaxed[],
): Untaxed[] {
  const untaxed = feeDue ? feeLines(period, terms) : [];
  for (const month of new Set(usage.map(({ serviceMonth }) => serviceMonth))) {
    const ofMonth = usage.filter(({ serviceMonth }) => serviceMonth === month);
    untaxed.push(...ofMonth, ...includedLines(month, ofMonth, terms, includedGranted.get(month) ?? 0n));
  }
  return untaxed;
}

/** False for an invoice that nobody needs: it has no line with an amount. */
export function isWorthIssuing(draft: InvoiceDraft): boolean {
  return draft.lines.some(({ nanos }) => nanos !== 0n);
}

/** The sums that follow from lines, and nothing else. */
export function totalsOf(
  lines: readonly InvoiceLine[],
): Pick<InvoiceDraft, 'taxes' | 'netCents' | 'taxCents' | 'grossCents'> {
  const taxes = new Map<string, InvoiceTax>();
  for (const { tax, netCents } of lines) {
    const id = `${TAX_CATEGORIES.indexOf(tax.category)} ${tax.ratePercent}`;
    const net = (taxes.get(id)?.netCents ?? 0n) + netCents;
    taxes.set(id, { ...tax, netCents: net, taxCents: taxOn(net, tax.ratePercent) });
  }
  const sorted = [...taxes].toSorted(([a], [b]) => compare(a, b)).map(([, tax]) => tax);
  const netCents = sorted.reduce((sum, tax) => sum + tax.netCents, 0n);
  const taxCents = sorted.reduce((sum, tax) => sum + tax.taxCents, 0n);
  return { taxes: sorted, netCents, taxCents, grossCents: netCents + taxCents };
}

function feeLines(period: string, { monthlyFeeNanos }: Terms): Untaxed[] {
  if (monthlyFeeNanos === 0n) return [];
  return [
    {
      ...NOTHING,
      kind: 'fee',
      serviceMonth: period,
      nanos: monthlyFeeNanos,
      netCents: toCents(monthlyFeeNanos),
    },
  ];
}

function usageLine(sum: UsageSum): Untaxed {
  const { projectId, model, unit, priceRate, quantity, month, priceNanos } = sum;
  const place = { projectId, model, unit, priceRate, quantity };
  return { ...place, kind: 'usage', serviceMonth: month, nanos: priceNanos, netCents: toCents(priceNanos) };
}

/** Only what later invoices of this contract have to know. */
function withRequests(
  line: Untaxed,
  { month, requests }: UsageSum,
  contract: ContractFacts | undefined,
): Untaxed {
  if (contract === undefined || requests === undefined || requests === 0n) return line;
  const counts = contract.parts(month).some(({ terms }) => terms.includedRequests !== undefined);
  return counts ? { ...line, requests } : line;
}

/** The header of this file says how included usage is rounded. */
function includedLines(month: string, usage: readonly Untaxed[], terms: Terms, granted: bigint): Untaxed[] {
  const used = usage.reduce((sum, line) => sum + line.nanos, 0n);
  const left = terms.includedUsageNanos - granted;
  const covered = left < used ? left : used;
  if (covered <= 0n) return [];
  const charged = usage.reduce((sum, line) => sum + line.netCents, 0n);
  const offCents = least(charged, greatest(toCents(covered), charged - toCents(used - covered)));
  return [{ ...NOTHING, kind: 'included', serviceMonth: month, nanos: -covered, netCents: -offCents }];
}

const NOTHING = { projectId: null, model: null, unit: null, quantity: 1n, priceRate: null } as const;

/** By month, project, model, unit and price; compared by code unit, which no locale changes. */
function byPlace(a: Untaxed, b: Untaxed): number {
  return (
    compare(a.serviceMonth, b.serviceMonth) ||
    compare(a.projectId ?? '', b.projectId ?? '') ||
    compare(a.model ?? '', b.model ?? '') ||
    compare(unitPlace(a), unitPlace(b)) ||
    compare(a.priceRate ?? 0n, b.priceRate ?? 0n)
  );
}

function unitPlace({ unit }: Untaxed): number {
  return unit === null ? -1 : UNITS.indexOf(unit);
}

function compare<T extends string | number | bigint>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function greatest(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
