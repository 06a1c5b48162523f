import type { RateWindow, Slot } from './rate-window.ts';
import type { Share, Shares } from './shares.ts';
import type { Standing, StandingShares } from './standing.ts';

/**
 * What a deployment takes per minute, reserved when a request is sent there and settled when it is over: one
 * request, and as many tokens as it may use at most. A request that may use more than all of a minute's
 * tokens gets through when nothing else is counted. Where several processes serve, each has a share of it,
 * as of other limits (shares.ts).
 */
export interface Claim {
  readonly requests: Counted | null;
  readonly tokens: Counted | null;
}

interface Counted {
  readonly window: RateWindow;
  readonly slot: Slot;
  readonly amount: number;
}

export interface ClaimTime {
  /** Of a clock that never goes back. */
  readonly nowMs: number;
  /** When the request came in: what was found used up since is not asked for again. */
  readonly arrivedMs: number;
}

/** Where nothing is counted. */
const NOTHING: Claim = { requests: null, tokens: null };

/**
 * Null: there is no room. A promise: others may have room to give; to be tried again then. Rejects when
 * they cannot be asked.
 */
export function claimFor(standing: Standing, most: number, time: ClaimTime): Claim | Promise<void> | null {
  if (!isCounted(standing)) return NOTHING;
  const { nowMs } = time;
  const tokens = tokensFor(standing, most);
  if (!fits(standing, tokens, nowMs)) return null;
  if (standing.sharing === null) return take(standing, tokens, nowMs);
  const lacking = lack(standing, standing.sharing, tokens, time);
  return lacking === null || lacking instanceof Promise ? lacking : take(standing, tokens, nowMs);
}

/** Nobody is asked: null as well when too little is granted here. It is sent at `sentMs`, now or later. */
export function claimAtOnce(standing: Standing, most: number, nowMs: number, sentMs: number): Claim | null {
  if (!isCounted(standing)) return NOTHING;
  const tokens = tokensFor(standing, most);
  if (!fits(standing, tokens, nowMs)) return null;
  for (const { share, limit, amount } of partsOf(standing, tokens)) {
    if (share === null || share.use.inUse() + BigInt(amount) <= share.granted) continue;
    standing.sharing!.shares.fetch(share, BigInt(limit));
    return null;
  }
  return take(standing, tokens, sentMs);
}

/** False while it is left alone or its own limits are used up, as far as that is known without asking. */
export function isAvailable(standing: Standing, time: ClaimTime): boolean {
  return time.nowMs >= standing.cooledUntilMs && hasRoom(standing, time);
}

function hasRoom(standing: Standing, { nowMs, arrivedMs }: ClaimTime): boolean {
  const { requestsPerMinute, tokensPerMinute } = standing.deployment;
  if (requestsPerMinute == null && tokensPerMinute == null) return true;
  if (!fits(standing, 1, nowMs)) return false;
  const { sharing } = standing;
  if (sharing === null) return true;
  return partsOf(standing, 1).every(
    ({ share }) => share!.use.inUse() < share!.granted || !sharing.shares.isDry(share!, arrivedMs, nowMs),
  );
}

/** What was really used. */
export function settleClaim({ tokens }: Claim, used: number): void {
  if (tokens !== null) tokens.window.correct(tokens.slot, used - tokens.amount);
}

/** Nothing was sent. */
export function cancelClaim({ requests, tokens }: Claim): void {
  for (const counted of [requests, tokens]) counted?.window.correct(counted.slot, -counted.amount);
}

/** Others count, too, from now on: what is used here is said with the next call. */
export function shareStanding({ deployment, requests, tokens }: Standing, shares: Shares): StandingShares {
  const open = (kind: 'r' | 't', window: RateWindow): Share =>
    shares.open(kind + JSON.stringify(['deployment', deployment.id, null]), {
      inUse: () => BigInt(Math.max(window.used(shares.nowMs()), 0)),
      freesInMs() {
        const nowMs = shares.nowMs();
        return window.waitMs(nowMs, 1, window.used(nowMs));
      },
    });
  return { shares, requests: open('r', requests), tokens: open('t', tokens) };
}

function isCounted({ deployment, countsTokens }: Standing): boolean {
  return countsTokens || deployment.requestsPerMinute != null;
}

function tokensFor({ deployment }: Standing, most: number): number {
  return Math.min(most, deployment.tokensPerMinute ?? Infinity);
}

function fits({ deployment, requests, tokens }: Standing, amount: number, nowMs: number): boolean {
  const { requestsPerMinute, tokensPerMinute } = deployment;
  if (requestsPerMinute != null && requests.used(nowMs) >= requestsPerMinute) return false;
  return tokensPerMinute == null || tokens.used(nowMs) + amount <= tokensPerMinute;
}

interface Part {
  /** Null in a process that is alone. */
  readonly share: Share | null;
  readonly limit: number;
  readonly amount: number;
}

function partsOf({ deployment, sharing }: Standing, tokens: number): readonly Part[] {
  const { requestsPerMinute, tokensPerMinute } = deployment;
  const parts: Part[] = [];
  if (requestsPerMinute != null)
    parts.push({ share: sharing?.requests ?? null, limit: requestsPerMinute, amount: 1 });
  if (tokensPerMinute != null)
    parts.push({ share: sharing?.tokens ?? null, limit: tokensPerMinute, amount: tokens });
  return parts;
}

/** 'nothing' is lacking; null when more was asked for in vain since the request came in. */
function lack(
  standing: Standing,
  { shares }: StandingShares,
  tokens: number,
  { nowMs, arrivedMs }: ClaimTime,
): 'nothing' | Promise<void> | null {
  const parts = partsOf(standing, tokens);
  // What does not outlive this process may be somebody else's already.
  if (parts.length > 0 && !shares.isTrusted(nowMs)) return shares.trusted();
  const waits: Promise<void>[] = [];
  for (const { share, limit, amount } of parts) {
    const left = share!.granted - share!.use.inUse() - BigInt(amount);
    if (left >= 0n) {
      if (left < share!.lowWater) shares.fetch(share!, BigInt(limit));
      continue;
    }
    if (shares.isDry(share!, arrivedMs, nowMs)) return null;
    waits.push(shares.need(share!, BigInt(amount), BigInt(limit)));
  }
  return waits.length === 0 ? 'nothing' : Promise.all(waits).then(() => undefined);
}

function take(standing: Standing, tokens: number, atMs: number): Claim {
  const { deployment, requests, tokens: window, countsTokens } = standing;
  const limited = deployment.requestsPerMinute != null;
  return {
    requests: limited ? { window: requests, slot: requests.add(atMs, 1), amount: 1 } : null,
    tokens: countsTokens ? { window, slot: window.add(atMs, tokens), amount: tokens } : null,
  };
}
