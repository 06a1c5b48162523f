import type { Deployment } from '../domain/deployment.ts';
import { cancelClaim, type Claim, type ClaimTime } from './claims.ts';
import type { Hold, ProviderBudgets } from './provider-budgets.ts';
import type { Router } from './router.ts';

/** What a request has at a deployment until it is over: of its own limits, and of its provider's budget. */
export interface Room {
  readonly claim: Claim;
  readonly hold: Hold;
}

export interface RoomWish {
  /** At most, of prompt and answers together. */
  readonly tokens: number;
  /** What it may cost the agency. */
  readonly nanos: bigint;
}

/** Both or nothing. A promise: others may have some to give; to be tried again then. */
export function roomFor(
  router: Router,
  costs: ProviderBudgets,
  deployment: Deployment,
  { tokens, nanos }: RoomWish,
  time: ClaimTime,
): Room | Promise<void> | 'full' | 'unpaid' {
  const hold = costs.hold(deployment, nanos, time);
  if (hold === null) return 'unpaid';
  if (hold instanceof Promise) return hold;
  const claim = router.claim(deployment, tokens, time);
  if (claim !== null && !(claim instanceof Promise)) return { claim, hold };
  hold.settle(null);
  return claim ?? 'full';
}

/** For a request that changes over from `instead` and is sent after so long: nobody is asked. */
export function roomAtOnce(
  router: Router,
  costs: ProviderBudgets,
  deployment: Deployment,
  { tokens, nanos }: RoomWish,
  { hold: instead, waitMs }: { readonly hold: Hold; readonly waitMs: number },
): Room | null {
  const hold = costs.holdAtOnce(deployment, nanos, instead);
  if (hold === null) return null;
  const claim = router.claimAtOnce(deployment, tokens, waitMs);
  if (claim !== null) return { claim, hold };
  hold.settle(null);
  return null;
}

/** Nothing was sent. */
export function leaveRoom({ claim, hold }: Room): void {
  cancelClaim(claim);
  hold.settle(null);
}
