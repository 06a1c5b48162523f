import type { Untaxed } from './contract-lines.ts';
import { type Discount, isDiscounted } from './discount.ts';
import type { BilledLine, LineKind } from './invoice.ts';
import { divideHalfUp, parseNanos, toCents } from './money.ts';

/**
 * Discounts as lines of their own. A month's discounts are those of the contract as it stands at the end
 * of the month. Each is worked out on the whole month as it is known at the cut, and a line takes off
 * what earlier lines have not: so late usage and corrections are discounted, too, and what a correction
 * takes back loses its discount.
 */
const FEES: ReadonlySet<LineKind> = new Set<LineKind>(['fee', 'project-fee', 'correction']);

/** 100 % in nanos of a percent. */
const WHOLE = 100_000_000_000n;

const NOTHING = { projectId: null, model: null, unit: null, quantity: 1n, priceRate: null } as const;

/**
 * The discount lines of one month of service. `lines` are those of this invoice, `billed` those of
 * earlier ones, both of that month. A month never comes to less than nothing because of discounts.
 */
export function discountLines(
  month: string,
  discounts: readonly Discount[],
  lines: readonly Untaxed[],
  billed: readonly BilledLine[],
): Untaxed[] {
  const given = billed.filter(({ kind }) => kind === 'discount');
  const charged = [...lines, ...billed.filter(({ kind }) => kind !== 'discount')];
  const current = discounts.filter((discount) => isDiscounted(discount, month));
  let left = sumOf(charged, 'all');
  const found: (Untaxed | null)[] = [];
  for (const discount of current) {
    const nanos = least(amountOf(discount, sumOf(charged, discount.of)), left);
    left -= nanos;
    found.push(lineOf(month, discount, nanos - givenBy(discount.name, given)));
  }
  const names = new Set(current.map(({ name }) => name));
  for (const name of new Set(given.flatMap(({ discount }) => discount ?? []))) {
    const before = { name, of: 'all', percent: null } as const;
    if (!names.has(name)) found.push(lineOf(month, before, -givenBy(name, given)));
  }
  return settled(
    found.filter((line) => line !== null),
    lines,
  );
}

function sumOf(lines: readonly Pick<BilledLine, 'kind' | 'nanos'>[], of: Discount['of']): bigint {
  const isOf = (kind: LineKind): boolean => of === 'all' || FEES.has(kind) === (of === 'fees');
  return lines.reduce((sum, { kind, nanos }) => (isOf(kind) ? sum + nanos : sum), 0n);
}

function amountOf({ percent, nanos }: Discount, sum: bigint): bigint {
  if (sum <= 0n) return 0n;
  return percent === null ? least(nanos, sum) : divideHalfUp(sum * parseNanos(percent), WHOLE);
}

function givenBy(name: string, given: readonly BilledLine[]): bigint {
  return given.reduce((sum, { discount, nanos }) => (discount === name ? sum - nanos : sum), 0n);
}

/** Takes so much off; a negative amount gives it back. Null for nothing. */
function lineOf(
  month: string,
  { name, of, percent }: Pick<Discount, 'name' | 'of' | 'percent'>,
  nanos: bigint,
): Untaxed | null {
  if (nanos === 0n) return null;
  const netCents = nanos < 0n ? toCents(-nanos) : -toCents(nanos);
  const discount = { name, of, percent };
  return { ...NOTHING, kind: 'discount', discount, serviceMonth: month, nanos: -nanos, netCents };
}

/** What is discounted in full comes to 0.00, however its lines were rounded. */
function settled(discounts: readonly Untaxed[], lines: readonly Untaxed[]): Untaxed[] {
  const all = [...lines, ...discounts];
  const last = discounts.at(-1);
  if (last === undefined || all.reduce((sum, { nanos }) => sum + nanos, 0n) !== 0n) return [...discounts];
  const cents = all.reduce((sum, { netCents }) => sum + netCents, 0n);
  return [...discounts.slice(0, -1), { ...last, netCents: last.netCents - cents }];
}

function least(a: bigint, b: bigint): bigint {
  if (b < 0n) return 0n;
  return a < b ? a : b;
}
