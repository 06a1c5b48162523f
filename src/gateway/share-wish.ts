/** What is to be said of a share with the next call. */
export interface Wish<S> {
  readonly share: S;
  needed: bigint;
  /** What the smallest of the waiting requests needs. */
  least: bigint | null;
  /** Null as long as nothing is asked for. */
  cap: bigint | null;
  givesBack: boolean;
  readonly waiting: { readonly resolve: () => void; readonly reject: (error: unknown) => void }[];
  /** How often, the last time included; others are called once. */
  asked: number;
  sentMs: number;
}

export function emptyWish<S>(share: S): Wish<S> {
  return { share, needed: 0n, least: null, cap: null, givesBack: false, waiting: [], asked: 0, sentMs: 0 };
}

/** Two wishes for one share become one. */
export function join<S>(into: Wish<S>, from: Wish<S>): void {
  into.needed += from.needed;
  if (into.least === null || (from.least !== null && from.least < into.least)) into.least = from.least;
  into.cap ??= from.cap;
  into.asked = Math.max(into.asked, from.asked);
  into.waiting.push(...from.waiting);
}
