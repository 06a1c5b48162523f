import type { BilledLine, InvoiceLine } from './invoice.ts';
import { NANOS_PER_CENT, toCents } from './money.ts';
import type { Terms } from './plan.ts';
import { type ContractPart, feeShare, isWholeMonth, monthlySum, shareOf } from './proration.ts';
import { TOKEN_UNITS } from './spend.ts';
import { tierDifference } from './tiers.ts';

/**
 * What a contract charges beside usage: fees, the difference to tiered prices, what is included and the
 * minimum commitment. Each is worked out for a whole month as it is known at the cut, and an invoice
 * charges what earlier invoices have not: so late usage and amendments that reach back become
 * corrections, and repeating anything charges nothing.
 */
export interface ContractFacts {
  /** Of a month `YYYY-MM`, as known at the cut. */
  readonly parts: (month: string) => readonly ContractPart[];
  /** Months whose fees this invoice settles: its own, the next when fees are due in advance, amended ones. */
  readonly feeMonths: readonly string[];
  /** Closed months that were amended since: what they include and commit to is worked out again. */
  readonly amended: readonly string[];
  readonly projects: readonly ProjectDays[];
  /** Lines of the tenant's invoices that were drafted before this one and are not cancelled. */
  readonly billed: readonly BilledLine[];
}

/** On which days of which month a project was open. */
export interface ProjectDays {
  readonly projectId: string;
  readonly days: (month: string) => { readonly fromDay: number; readonly toDay: number };
}

export type Untaxed = Omit<InvoiceLine, 'tax'>;

const NOTHING = { projectId: null, model: null, unit: null, quantity: 1n, priceRate: null } as const;

/** Fees of the tenant and of its projects, a line for each part of a month. */
export function contractFeeLines(period: string, facts: ContractFacts): Untaxed[] {
  return facts.feeMonths.flatMap((month) => {
    const lines = feesOf(month, facts);
    const due = sumOf(lines);
    const earlier = facts.billed.filter(
      (line) => line.month === month && line.period < period && FEES.has(line.kind),
    );
    if (earlier.length === 0) return lines;
    const nanos = due - sumOf(earlier);
    if (nanos === 0n) return [];
    return [{ ...NOTHING, kind: 'correction', serviceMonth: month, nanos, netCents: toCents(nanos) }];
  });
}

const FEES: ReadonlySet<string> = new Set(['fee', 'project-fee', 'correction']);

function feesOf(month: string, { parts, projects }: ContractFacts): Untaxed[] {
  const lines: Untaxed[] = [];
  for (const part of parts(month)) {
    const nanos = feeShare(part.terms.monthlyFeeNanos, part);
    if (nanos !== 0n) lines.push(feeLine('fee', month, part, nanos, null));
  }
  for (const { projectId, days } of projects) {
    const open = days(month);
    for (const part of parts(month)) {
      const shared = {
        ...part,
        fromDay: Math.max(part.fromDay, open.fromDay),
        toDay: Math.min(part.toDay, open.toDay),
      };
      if (shared.fromDay >= shared.toDay) continue;
      const nanos = feeShare(part.terms.projectFeeNanos ?? 0n, shared);
      if (nanos !== 0n) lines.push(feeLine('project-fee', month, shared, nanos, projectId));
    }
  }
  return lines;
}

function feeLine(
  kind: 'fee' | 'project-fee',
  month: string,
  part: ContractPart,
  nanos: bigint,
  projectId: string | null,
): Untaxed {
  const dates = isWholeMonth(part)
    ? {}
    : { from: dateIn(month, part.fromDay), to: dateIn(month, part.toDay - 1) };
  const netCents = nanos / NANOS_PER_CENT;
  return { ...NOTHING, projectId, kind, serviceMonth: month, ...dates, nanos, netCents };
}

function dateIn(month: string, day: number): string {
  return `${month}-${String(day + 1).padStart(2, '0')}`;
}

/** The month's lines beside its usage: tiers, what is included, the commitment. */
export function monthLines(month: string, usage: readonly Untaxed[], facts: ContractFacts): Untaxed[] {
  const billed = facts.billed.filter((line) => line.month === month);
  const parts = facts.parts(month);
  const tiers = tierLines(month, usage, parts.at(-1)?.terms ?? null, billed);
  const charged = [...usage, ...tiers];
  const included = includedLine(month, charged, parts, billed, facts.amended.includes(month));
  const lines = [...tiers, ...included];
  return [...lines, ...commitmentLine(month, [...usage, ...lines], parts, billed)];
}

const CHARGED: ReadonlySet<string> = new Set(['usage', 'tier']);

function tierLines(
  month: string,
  usage: readonly Untaxed[],
  terms: Terms | null,
  billed: readonly BilledLine[],
): Untaxed[] {
  if (terms === null) return [];
  const lines: Untaxed[] = [];
  for (const [model, { tiers = {} }] of Object.entries(terms.prices.models)) {
    for (const [unit, tier] of Object.entries(tiers)) {
      const isOf = (line: { readonly model: string | null; readonly unit: string | null }) =>
        line.model === model && line.unit === unit;
      const rate = tier.steps[0]!.rate;
      const counted = [
        ...usage.filter(isOf),
        ...billed.filter((line) => line.kind === 'usage' && isOf(line)),
      ];
      const quantity = counted
        .filter(({ priceRate }) => priceRate === rate)
        .reduce((sum, line) => sum + line.quantity, 0n);
      const before = sumOf(billed.filter((line) => line.kind === 'tier' && isOf(line)));
      const nanos = tierDifference(tier, quantity) - before;
      if (nanos === 0n) continue;
      const what = { ...NOTHING, model, unit: unit as Untaxed['unit'] };
      lines.push({ ...what, kind: 'tier', serviceMonth: month, nanos, netCents: toCents(nanos) });
    }
  }
  return lines;
}

/** invoice-lines.ts says how included usage is rounded. */
function includedLine(
  month: string,
  charged: readonly Untaxed[],
  parts: readonly ContractPart[],
  billed: readonly BilledLine[],
  amended: boolean,
): Untaxed[] {
  const earlier = billed.filter(({ kind }) => CHARGED.has(kind));
  const used = sumOf(charged) + sumOf(earlier);
  const ofTokens = coveredByTokens([...charged, ...earlier], parts);
  const money = monthlySum(parts, ({ includedUsageNanos }) => includedUsageNanos);
  const ofRequests = coveredByRequests([...charged, ...earlier], used, parts);
  const target = least(used, ofTokens + ofRequests + money);
  const granted = -sumOf(billed.filter(({ kind }) => kind === 'included'));
  const nanos = target - granted;
  // Granted once, it is taken back only where the contract was amended.
  if (nanos === 0n || (nanos < 0n && !amended)) return [];
  const line = { ...NOTHING, kind: 'included', serviceMonth: month, nanos: -nanos } as const;
  const now = sumOf(charged);
  if (nanos < 0n || nanos > now) return [{ ...line, netCents: -toCents(nanos) }];
  const cents = charged.reduce((sum, { netCents }) => sum + netCents, 0n);
  const off = least(cents, greatest(toCents(nanos), cents - toCents(now - nanos)));
  return [{ ...line, netCents: -off }];
}

/** The tokens that are included, at the average price of the month's tokens. */
function coveredByTokens(
  lines: readonly {
    readonly unit: string | null;
    readonly quantity: bigint;
    readonly nanos: bigint;
    readonly kind: string;
  }[],
  parts: readonly ContractPart[],
): bigint {
  const tokens = monthlySum(parts, ({ includedTokens = 0n }) => includedTokens);
  if (tokens === 0n) return 0n;
  const ofTokens = lines.filter(({ unit }) => unit !== null && TOKENS.has(unit));
  const quantity = ofTokens.reduce((sum, line) => (line.kind === 'usage' ? sum + line.quantity : sum), 0n);
  if (quantity === 0n) return 0n;
  return shareOf(sumOf(ofTokens), {
    fromDay: 0,
    toDay: Number(least(tokens, quantity)),
    days: Number(quantity),
  });
}

/** The requests that are included, at the average price of the month's requests. */
function coveredByRequests(
  lines: readonly { readonly requests?: bigint | undefined }[],
  used: bigint,
  parts: readonly ContractPart[],
): bigint {
  const included = monthlySum(parts, ({ includedRequests = 0n }) => includedRequests);
  const made = lines.reduce((sum, { requests = 0n }) => sum + requests, 0n);
  if (included === 0n || made === 0n) return 0n;
  return shareOf(used, { fromDay: 0, toDay: Number(least(included, made)), days: Number(made) });
}

const TOKENS: ReadonlySet<string> = new Set<string>(TOKEN_UNITS);

/** What is missing to the least that was agreed for a month's usage, included usage taken off. */
function commitmentLine(
  month: string,
  charged: readonly Untaxed[],
  parts: readonly ContractPart[],
  billed: readonly BilledLine[],
): Untaxed[] {
  const least = monthlySum(parts, ({ commitmentNanos = 0n }) => commitmentNanos, feeShare);
  const earlier = sumOf(billed.filter(({ kind }) => CHARGED.has(kind) || kind === 'included'));
  const missing = least - earlier - sumOf(charged);
  const before = sumOf(billed.filter(({ kind }) => kind === 'commitment'));
  const nanos = (missing > 0n ? missing : 0n) - before;
  if (nanos === 0n) return [];
  return [{ ...NOTHING, kind: 'commitment', serviceMonth: month, nanos, netCents: toCents(nanos) }];
}

function sumOf(lines: readonly { readonly nanos: bigint }[]): bigint {
  return lines.reduce((sum, { nanos }) => sum + nanos, 0n);
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function greatest(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
