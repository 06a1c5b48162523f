import { divideHalfUp } from './money.ts';

/**
 * What usage cost the agency and was sold for. A dedicated endpoint has a flat fee per month beside what
 * its tokens cost: it is spread by share of tokens, in nanos, so that the shares add up to the fee.
 */
export interface DeploymentUse {
  readonly agencyId: string;
  readonly tenantId: string;
  readonly projectId: string | null;
  /** Id of the deployment. */
  readonly deployment: string;
  readonly requests: number;
  readonly tokens: bigint;
  readonly priceNanos: bigint;
  readonly costNanos: bigint;
}

export interface MarginRow extends Omit<DeploymentUse, 'deployment'> {
  /** Its share of the flat fees. */
  readonly flatNanos: bigint;
  readonly marginNanos: bigint;
}

/** By tenant and project, in the order of their ids; fees of what nobody used stay with the agency. */
export function marginOf(
  uses: readonly DeploymentUse[],
  fees: ReadonlyMap<string, bigint>,
): { readonly rows: readonly MarginRow[]; readonly unspread: ReadonlyMap<string, bigint> } {
  const sorted = uses.toSorted((a, b) => compare(placeOf(a), placeOf(b)));
  const rows = new Map<string, MarginRow>();
  const unspread = new Map(fees);
  const totals = new Map<string, bigint>();
  for (const { deployment, tokens } of sorted)
    totals.set(deployment, (totals.get(deployment) ?? 0n) + tokens);
  const before = new Map<string, bigint>();
  for (const use of sorted) {
    const { deployment, tokens, ...row } = use;
    const from = before.get(deployment) ?? 0n;
    before.set(deployment, from + tokens);
    const fee = fees.get(deployment) ?? 0n;
    const total = totals.get(deployment)!;
    if (total > 0n) unspread.delete(deployment);
    const share = (until: bigint): bigint => (total === 0n ? 0n : divideHalfUp(fee * until, total));
    const flatNanos = share(from + tokens) - share(from);
    const id = placeOf(use);
    const sum = rows.get(id) ?? { ...row, ...NOTHING };
    const costs = row.costNanos + flatNanos;
    rows.set(id, {
      ...sum,
      requests: sum.requests + row.requests,
      tokens: sum.tokens + tokens,
      priceNanos: sum.priceNanos + row.priceNanos,
      costNanos: sum.costNanos + row.costNanos,
      flatNanos: sum.flatNanos + flatNanos,
      marginNanos: sum.marginNanos + row.priceNanos - costs,
    });
  }
  return { rows: [...rows.values()], unspread };
}

const NOTHING = { requests: 0, tokens: 0n, priceNanos: 0n, costNanos: 0n, flatNanos: 0n, marginNanos: 0n };

function placeOf({ agencyId, tenantId, projectId }: DeploymentUse): string {
  return [agencyId, tenantId, projectId ?? ''].join('\n');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
