import { amountAt, TOKENS_PER_RATE } from './money.ts';
import type { JsonObject } from './json.ts';

/**
 * What one request used, cost the agency and is charged to the tenant. A spend stream has one
 * writer, the gateway process, so nothing is decided here: the record states what happened.
 */

/**
 * The units that are priced, in the order of an invoice. Cached input, cache writes and audio input
 * are parts of the prompt, audio output is a part of the completion, each billed at its own rate.
 */
export const UNITS = [
  'input',
  'cached-input',
  'cache-write',
  'audio-input',
  'output',
  'audio-output',
  'image',
  'search',
  'character',
  'second',
] as const;
export type Unit = (typeof UNITS)[number];

/** What every model has a price for. */
export const TOKEN_UNITS = ['input', 'cached-input', 'output'] as const;
export type TokenUnit = (typeof TOKEN_UNITS)[number];
/** What some models are billed by as well, or instead. */
export type OtherUnit = Exclude<Unit, TokenUnit>;
export const OTHER_UNITS = UNITS.filter(
  (unit) => !(TOKEN_UNITS as readonly Unit[]).includes(unit),
) as readonly OtherUnit[];

/** Parts of the prompt or of the completion: without a rate of their own, the whole's holds. */
const WHOLE_OF: Readonly<Partial<Record<Unit, 'input' | 'output'>>> = {
  'cache-write': 'input',
  'audio-input': 'input',
  'audio-output': 'output',
};
/** Units whose price is said for one piece; the others' for a million. */
const SOLD_SINGLY: ReadonlySet<Unit> = new Set(['image', 'search', 'second']);

/** How many pieces a price is said for. */
export function priceBase(unit: Unit): bigint {
  return SOLD_SINGLY.has(unit) ? 1n : TOKENS_PER_RATE;
}

export interface Usage {
  /** Whole prompt, cached part included. */
  readonly inputTokens: number;
  /** The part of the prompt that the upstream served from its cache. */
  readonly cachedInputTokens: number;
  /** Whole completion, reasoning included. */
  readonly outputTokens: number;
  readonly reasoningTokens: number;
  /** How much of other units, all above zero; left out when there is none. Parts of the prompt and of the completion are in the tokens above too. */
  readonly units?: Quantities | undefined;
}
export type Quantities = Readonly<Partial<Record<OtherUnit, number>>>;

export const NO_USAGE: Usage = { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, reasoningTokens: 0 };

/** Nanos per million by unit; a unit that is left out has no rate of its own. */
export type Rates = Readonly<Record<TokenUnit, bigint> & Partial<Record<OtherUnit, bigint>>>;

/** The rate of a unit, its own or that of the whole it is a part of; null when it has none. */
export function rateOf(rates: Rates, unit: Unit): bigint | null {
  const whole = WHOLE_OF[unit];
  return rates[unit] ?? (whole === undefined ? null : rates[whole]);
}

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
    /** Public model name that answered: what was asked for, or its fallback. */
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
    /** What the upstream itself reported, where `usage` does not say all of it: numbers and short words only. */
    readonly rawUsage?: JsonObject | undefined;
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
  if (usage.units !== undefined) return rateAll(usage, usage.units, prices, costs);
  const lines: SpendLine[] = [];
  for (const unit of TOKEN_UNITS) {
    const quantity = quantityOf(unit, usage);
    if (quantity !== 0) lines.push(lineOf(unit, quantity, prices[unit], costs[unit]));
  }
  return lines;
}

/** Parts are taken out of their wholes, so that nothing is charged twice. */
function rateAll(usage: Usage, units: Quantities, prices: Rates, costs: Rates): readonly SpendLine[] {
  const lines: SpendLine[] = [];
  for (const unit of UNITS) {
    let quantity = isTokenUnit(unit) ? quantityOf(unit, usage) : (units[unit] ?? 0);
    for (const part of OTHER_UNITS) if (WHOLE_OF[part] === unit) quantity -= units[part] ?? 0;
    const price = rateOf(prices, unit);
    const cost = rateOf(costs, unit);
    if (quantity > 0 && (price !== null || cost !== null))
      lines.push(lineOf(unit, quantity, price ?? 0n, cost ?? 0n));
  }
  return lines;
}

function lineOf(unit: Unit, quantity: number, priceRate: bigint, costRate: bigint): SpendLine {
  return {
    unit,
    quantity,
    priceRate,
    priceNanos: amountAt(priceRate, quantity),
    costNanos: amountAt(costRate, quantity),
  };
}

function isTokenUnit(unit: Unit): unit is TokenUnit {
  return unit === 'input' || unit === 'cached-input' || unit === 'output';
}

function quantityOf(unit: TokenUnit, usage: Usage): number {
  if (unit === 'output') return usage.outputTokens;
  return unit === 'input' ? usage.inputTokens - usage.cachedInputTokens : usage.cachedInputTokens;
}
