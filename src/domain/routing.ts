/** How requests find a deployment, and what happens when one fails. */
export const STRATEGIES = [
  'simple-shuffle',
  'least-busy',
  'latency-based-routing',
  'usage-based-routing',
  'cost-based-routing',
] as const;
export type Strategy = (typeof STRATEGIES)[number];

/** By public model name: what is tried instead, in this order. */
export type Fallbacks = Readonly<Record<string, readonly string[]>>;

/** What a provider may be paid per window; nanos of the agency's currency. */
export interface ProviderBudget {
  readonly nanos: bigint;
  readonly window: string;
}

export interface Routing {
  readonly strategy: Strategy;
  /** Further attempts per model, while nothing was delivered. */
  readonly retries: number;
  /** Shortest pause before the same deployment is asked again. */
  readonly retryAfterMs: number;
  /** Failures in a minute that a deployment may have before it is left alone. */
  readonly allowedFails: number;
  /** How long it is left alone; 0 never. Only among several of one model. */
  readonly cooldownMs: number;
  readonly fallbacks: Fallbacks;
  /** For prompts that are too long for a model. */
  readonly contextFallbacks: Fallbacks;
  /** For models without fallbacks of their own. */
  readonly defaultFallbacks: readonly string[];
  readonly fallbacksMax: number;
  /** Other names of models, for everybody. */
  readonly aliases: Readonly<Record<string, string>>;
  /** How often deployments are looked at while nobody asks; null never. */
  readonly healthCheckMs: number | null;
  /** By provider; one whose budget is spent is not asked. */
  readonly providerBudgets: Readonly<Record<string, ProviderBudget>>;
}

export const ROUTING_DEFAULT: Routing = {
  strategy: 'simple-shuffle',
  retries: 2,
  retryAfterMs: 0,
  allowedFails: 3,
  cooldownMs: 5_000,
  fallbacks: {},
  contextFallbacks: {},
  defaultFallbacks: [],
  fallbacksMax: 5,
  aliases: {},
  healthCheckMs: null,
  providerBudgets: {},
};
