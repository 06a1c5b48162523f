import { unreachable } from './decider.ts';

/**
 * Prices that depend on how much of a unit a tenant uses in a month. A request is recorded at the first
 * tier's price, which limits and budgets count; the invoice has the difference as a line of its own.
 */
export interface Tiers {
  /**
   * `graduated`: each step's price for what lies in it; `volume`: the price of the step that the month's
   * quantity reaches, for all of it; `package`: whole packages, each at the first step's price.
   */
  readonly mode: 'graduated' | 'volume' | 'package';
  /** Ascending. The first one's rate is the price at which requests are recorded. */
  readonly steps: readonly TierStep[];
  /** Units in a package; 0 for other modes. */
  readonly packageSize: bigint;
}
export interface TierStep {
  /** Last unit of the step; null for the last step. */
  readonly upTo: bigint | null;
  /** Nanos per million, whole nanos per unit. */
  readonly rate: bigint;
}

/** What a month's quantity costs by its tiers, less what it was recorded at. */
export function tierDifference({ mode, steps, packageSize }: Tiers, quantity: bigint): bigint {
  const [first] = steps;
  if (first === undefined || quantity === 0n) return 0n;
  const recorded = amount(first.rate, quantity);
  switch (mode) {
    case 'package':
      return amount(first.rate, ((quantity + packageSize - 1n) / packageSize) * packageSize) - recorded;
    case 'volume': {
      const reached = steps.find(({ upTo }) => upTo === null || quantity <= upTo) ?? steps.at(-1)!;
      return amount(reached.rate, quantity) - recorded;
    }
    case 'graduated': {
      let below = 0n;
      let sum = 0n;
      for (const { upTo, rate } of steps) {
        const until = upTo === null || upTo > quantity ? quantity : upTo;
        if (until > below) sum += amount(rate, until - below);
        below = until > below ? until : below;
      }
      return sum - recorded;
    }
    default:
      return unreachable(mode);
  }
}

/** Exact: rates are whole nanos per unit. */
function amount(rate: bigint, quantity: bigint): bigint {
  return (rate * quantity) / 1_000_000n;
}
