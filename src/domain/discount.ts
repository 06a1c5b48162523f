/** A discount that a contract agrees apart from its plan. discount-lines.ts says how it is worked out. */
export const DISCOUNTED = ['fees', 'usage', 'all'] as const;

export interface Discount {
  /** As it stands on the invoice; another one in a contract has another name. */
  readonly name: string;
  /** `usage` is that with its tiers, what is included and the minimum commitment. */
  readonly of: (typeof DISCOUNTED)[number];
  /** A decimal such as "10", of the month's sum; null for an amount. */
  readonly percent: string | null;
  /** Net, per month; never more than the month comes to. 0 beside a percentage. */
  readonly nanos: bigint;
  /** First and last month of service, `YYYY-MM`; null: until another contract says otherwise. */
  readonly from: string;
  readonly until: string | null;
}

export function isDiscounted({ from, until }: Discount, month: string): boolean {
  return from <= month && (until === null || month <= until);
}
