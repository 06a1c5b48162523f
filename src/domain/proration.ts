import { periodDays } from './billing-period.ts';
import type { ContractVersion } from './contract.ts';
import { DAY_MS } from './local-time.ts';
import { divideHalfUp, NANOS_PER_CENT } from './money.ts';
import { localDate } from './period.ts';
import type { Discount } from './discount.ts';
import { type Terms, termsInForce } from './plan.ts';

/**
 * Which terms hold on which days of a month, and what a part of the month comes to.
 *
 * A version counts from the local day on which it takes effect; of several on one day, the last. A part
 * from day a to day b of a month of D days comes to round(F*b/D) - round(F*a/D), half up: however a
 * month is cut, its parts add up to F. Fees are rounded so to whole cents, usage that is included to
 * whole nanos.
 */
export interface ContractPart {
  /** Days of the month from 0 on; half open. */
  readonly fromDay: number;
  readonly toDay: number;
  /** Of the whole month. */
  readonly days: number;
  /** With the prices that were agreed apart from the plan. */
  readonly terms: Terms;
  readonly discounts: readonly Discount[];
  /** True in the trial, when no fees are due. */
  readonly free: boolean;
}

/** Oldest first; without the days on which there is no contract. */
export function partsOf(versions: readonly Version[], period: string, zone: string): readonly ContractPart[] {
  const { first } = periodDays(period);
  const days = monthDays(period);
  const place = (day: number): number => Math.min(Math.max(day - dayNumber(first), 0), days);
  const dated = datedVersions(versions, zone);
  const parts: ContractPart[] = [];
  for (const [index, { day, terms, discounts, trialUntil }] of dated.entries()) {
    if (terms === null) continue;
    const ends = dated[index + 1]?.day ?? Infinity;
    const inTrial = Math.min(Math.max(trialUntil, day), ends);
    for (const [from, to, free] of [
      [day, inTrial, true],
      [inTrial, ends, false],
    ] as const) {
      const part = { fromDay: place(from), toDay: place(to), days, terms, discounts, free };
      if (part.fromDay < part.toDay) join(parts, part);
    }
  }
  return parts;
}

type Version = Pick<ContractVersion, 'effectiveFrom' | 'terms'> & Partial<Pick<ContractVersion, 'agreed'>>;

interface Dated {
  readonly day: number;
  readonly terms: Terms | null;
  readonly discounts: readonly Discount[];
  /** Day on which the trial of the contract is over. */
  readonly trialUntil: number;
}

function datedVersions(versions: readonly Version[], zone: string): readonly Dated[] {
  const dated: Dated[] = [];
  for (const { effectiveFrom, terms: plan, agreed } of versions) {
    const terms = plan === null ? null : termsInForce(plan, agreed);
    const day = dayNumber(localDate(effectiveFrom, zone));
    if (dated.at(-1)?.day === day) dated.pop();
    const before = dated.at(-1);
    const goesOn = before !== undefined && before.terms !== null;
    const trialUntil = goesOn ? before.trialUntil : day + (terms?.trialDays ?? 0);
    dated.push({ day, terms, discounts: agreed?.discounts ?? [], trialUntil });
  }
  return dated;
}

/** What differs only in limits, prices and discounts is one part; those of the later one settle the month. */
function join(parts: ContractPart[], part: ContractPart): void {
  const before = parts.at(-1);
  const same =
    before !== undefined &&
    before.toDay === part.fromDay &&
    before.free === part.free &&
    before.terms.plan === part.terms.plan &&
    before.terms.planVersion === part.terms.planVersion;
  if (same) parts[parts.length - 1] = { ...part, fromDay: before.fromDay };
  else parts.push(part);
}

export function isWholeMonth({ fromDay, toDay, days }: Omit<ContractPart, 'terms'>): boolean {
  return fromDay === 0 && toDay === days;
}

type Span = Pick<ContractPart, 'fromDay' | 'toDay' | 'days'>;

/** What a part of the month comes to, in multiples of `unit`. */
export function shareOf(amount: bigint, { fromDay, toDay, days }: Span, unit = 1n): bigint {
  const until = (day: number): bigint => {
    if (day === days) return amount;
    return divideHalfUp(amount * BigInt(day), BigInt(days) * unit) * unit;
  };
  return until(toDay) - until(fromDay);
}

/** A fee that is due for a part of the month, in whole cents. */
export function feeShare(feeNanos: bigint, part: ContractPart): bigint {
  return part.free ? 0n : shareOf(feeNanos, part, NANOS_PER_CENT);
}

/** What a month includes or charges, all of its parts together. */
export function monthlySum(
  parts: readonly ContractPart[],
  amount: (terms: Terms) => bigint,
  share: (nanos: bigint, part: ContractPart) => bigint = shareOf,
): bigint {
  return parts.reduce((sum, part) => sum + share(amount(part.terms), part), 0n);
}

/** How many days a month has. */
export function monthDays(period: string): number {
  return Number(periodDays(period).last.slice(8));
}

/** What a month includes, from how much was included from when on. */
export function monthlyIncluded(
  included: readonly { readonly effectiveFrom: string; readonly nanos: bigint }[],
  period: string,
  zone: string,
): bigint {
  const { first } = periodDays(period);
  const days = monthDays(period);
  const place = (day: number): number => Math.min(Math.max(day - dayNumber(first), 0), days);
  const dated = included
    .map(({ effectiveFrom, nanos }) => ({ day: dayNumber(localDate(effectiveFrom, zone)), nanos }))
    .filter(({ day }, index, all) => all[index + 1]?.day !== day);
  return dated.reduce((sum, { day, nanos }, index) => {
    const span = { fromDay: place(day), toDay: place(dated[index + 1]?.day ?? Infinity), days };
    return span.fromDay < span.toDay ? sum + shareOf(nanos, span) : sum;
  }, 0n);
}

function dayNumber(date: string): number {
  return Date.parse(`${date}T00:00:00Z`) / DAY_MS;
}
