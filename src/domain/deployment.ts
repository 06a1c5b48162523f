import type { Rates } from './spend.ts';

/** One place at which a public model name is served. */
export interface Deployment {
  /** Stable, safe to show: it is in events and in `x-litellm-model-id`. */
  readonly id: string;
  /** What clients ask for; `*` or `prefix/*` serves any matching name under that name. */
  readonly publicName: string;
  /** Who is paid for it, such as `openai`; left out where nobody says. */
  readonly provider?: string | undefined;
  /** What the upstream calls it; null passes the requested name on. */
  readonly upstreamModel: string | null;
  /** Without a trailing slash; `/chat/completions` is appended. */
  readonly baseUrl: string;
  /** The upstream's credential; null when it wants none. Never shown, never logged. */
  readonly apiKey: string | null;
  /** Cap on completion tokens for requests that name none; it is sent upstream. */
  readonly maxOutputTokens: number;
  /** What the agency pays. Null when unknown: then only an explicit price of the contract can sell it. */
  readonly costRates: Rates | null;
  /** Flat fee of a dedicated endpoint per month, nanos of the agency's currency; left out: none. */
  readonly monthlyCostNanos?: bigint | undefined;
  /** Relative share of the traffic among deployments of one public name. */
  readonly weight: number;
  /** Longest wait for the whole answer. */
  readonly timeoutMs: number;
  /** The same for streams, where it differs. */
  readonly streamTimeoutMs?: number | undefined;
  /** What the upstream takes; nothing more is sent there. No limit when left out. */
  readonly requestsPerMinute?: number | undefined;
  readonly tokensPerMinute?: number | undefined;
  readonly extraHeaders: Readonly<Record<string, string>>;
}

export const MAX_OUTPUT_TOKENS_DEFAULT = 4096;
export const UPSTREAM_TIMEOUT_MS_DEFAULT = 600_000;
