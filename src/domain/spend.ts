import { amountAt } from './money.ts';

/**
 * What one request used, cost the agency and is charged to the tenant. A spend stream has one
 * writer, the gateway process, so nothing is decided here: the record states what happened.
 */

/** The units that are priced. Cached input is part of the prompt, billed at its own rate. */
export const UNITS = ['input', 'cached-input', 'output'] as const;
export type Unit = (typeof UNITS)[number];

export interface Usage {
  /** Whole prompt, cached part included. */
  readonly inputTokens: number;
  /** The part of the prompt that the upstream served from its cache. */
  readonly cachedInputTokens: number;
  /** Whole completion, reasoning included. */
  readonly outputTokens: number;
  readonly reasoningTokens: number;
}

export const NO_USAGE: Usage = { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, reasoningTokens: 0 };

/** Nanos per million tokens by unit. */
export type Rates = Readonly<Record<Unit, bigint>>;

export interface SpendLine {
  readonly unit: Unit;
  readonly quantity: number;
  /** Nanos per million tokens that the tenant pays; whole nanos per token. */
  readonly priceRate: bigint;
  readonly priceNanos: bigint;
  readonly costNanos: bigint;
}

/**
 * How a request ended; every admitted request has exactly one. `interrupted`: the process ended
 * before the request did, and the next one has recorded what may have been delivered.
 */
export const OUTCOMES = [
  'completed',
  'client-gone',
  'upstream-error',
  'timed-out',
  'truncated',
  'interrupted',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type SpendRecorded = {
  readonly type: 'spend.recorded';
  readonly data: {
    /** The gateway's own id of the call, as in x-litellm-call-id. */
    readonly requestId: string;
    /** The `id` in the upstream's answer; null when it gave none. */
    readonly responseId: string | null;
    readonly keyId: string;
    /** The secret that was used, as its hash. */
    readonly tokenHash: string;
    readonly projectId: string | null;
    readonly userId: string | null;
    /** Whom the customer app named in `user`. */
    readonly endUser: string | null;
    readonly tags: readonly string[];
    /** `chat/completions`, `embeddings`. */
    readonly route: string;
    /** Public model name that was asked for. */
    readonly model: string;
    readonly deployment: string;
    readonly stream: boolean;
    /** Instant of admission; it decides the period and every window. */
    readonly admittedAt: string;
    /** `YYYY-MM` of the admission in the agency's zone. */
    readonly month: string;
    readonly outcome: Outcome;
    /** HTTP status of the answer, or of the refusal that replaced it. */
    readonly status: number;
    /** `none` when nothing was delivered and nothing is charged. */
    readonly usageSource: 'reported' | 'estimated' | 'none';
    readonly usage: Usage;
    readonly lines: readonly SpendLine[];
    readonly currency: string;
    readonly priceNanos: bigint;
    readonly costNanos: bigint;
    readonly durationMs: number;
    /** Null when no byte arrived. */
    readonly firstByteMs: number | null;
  };
};
export type SpendEvent = SpendRecorded;

/** The priced lines of a usage, without empty ones. Prices are exact; costs are rounded per line. */
export function rate(usage: Usage, prices: Rates, costs: Rates): readonly SpendLine[] {
  const lines: SpendLine[] = [];
  for (const unit of UNITS) {
    const quantity = quantityOf(unit, usage);
    if (quantity === 0) continue;
    const priceNanos = amountAt(prices[unit], quantity);
    lines.push({
      unit,
      quantity,
      priceRate: prices[unit],
      priceNanos,
      costNanos: amountAt(costs[unit], quantity),
    });
  }
  return lines;
}

function quantityOf(unit: Unit, usage: Usage): number {
  if (unit === 'output') return usage.outputTokens;
  return unit === 'input' ? usage.inputTokens - usage.cachedInputTokens : usage.cachedInputTokens;
}
