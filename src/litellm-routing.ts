import { z } from 'zod';
import { parseDuration } from './domain/duration.ts';
import { nanosFromNumber } from './domain/money.ts';
import { type Fallbacks, type Routing, ROUTING_DEFAULT, type Strategy } from './domain/routing.ts';

/** The parts of a `litellm_config.yaml` that say how requests find a deployment. */
const Names = z.array(z.string().min(1));
const FallbackList = z.array(z.record(z.string().min(1), Names)).nullish();
const Whole = z.number().int().nonnegative().nullish();
const Seconds = z.number().nonnegative().nullish();
const AMOUNT_MAX = 999_999_999;
const Retries = z.number().int().min(0).max(10).nullish();

/** As text too, so that an amount may come from the environment. */
const Amount = z
  .union([z.number().nonnegative(), z.string().regex(/^\d{1,9}(\.\d{1,9})?$/)])
  .refine((amount) => Number(amount) <= AMOUNT_MAX, `expected at most ${AMOUNT_MAX}`);
const Period = z.string().superRefine((text, context) => {
  try {
    parseDuration(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as RangeError).message });
  }
});

/** In `router_settings`; some of it may stand in `litellm_settings` too. */
const shared = {
  num_retries: Retries,
  allowed_fails: Whole,
  cooldown_time: Seconds,
  fallbacks: FallbackList,
  context_window_fallbacks: FallbackList,
  default_fallbacks: Names.nullish(),
};
export const routerSettings = {
  ...shared,
  routing_strategy: z
    .enum([
      'simple-shuffle',
      'least-busy',
      'latency-based-routing',
      'usage-based-routing',
      'usage-based-routing-v2',
      'cost-based-routing',
    ])
    .nullish(),
  retry_after: Seconds,
  disable_cooldowns: z.boolean().nullish(),
  max_fallbacks: Whole,
  provider_budget_config: z
    .record(z.string().min(1), z.strictObject({ budget_limit: Amount, time_period: Period }))
    .nullish(),
  model_group_alias: z
    .record(z.string().min(1), z.union([z.string().min(1), z.looseObject({ model: z.string().min(1) })]))
    .nullish(),
};
export const litellmRouting = shared;
export const generalRouting = {
  background_health_checks: z.boolean().nullish(),
  health_check_interval: z.number().positive().nullish(),
};

const Router = z.looseObject(routerSettings);
const Shared = z.looseObject(litellmRouting);
const General = z.looseObject(generalRouting);

const HEALTH_CHECK_SECONDS_DEFAULT = 300;

export function routingOf(
  router: z.infer<typeof Router> = {},
  litellm: z.infer<typeof Shared> = {},
  general: z.infer<typeof General> = {},
): Routing {
  const seconds = (value: number | null | undefined, otherwise: number) =>
    value == null ? otherwise : Math.round(value * 1_000);
  const either = <K extends keyof typeof shared>(name: K) => router[name] ?? litellm[name] ?? null;
  const cooldownMs = seconds(either('cooldown_time'), ROUTING_DEFAULT.cooldownMs);
  const checks = general.background_health_checks === true;
  return {
    strategy: strategyOf(router.routing_strategy ?? ROUTING_DEFAULT.strategy),
    retries: either('num_retries') ?? ROUTING_DEFAULT.retries,
    retryAfterMs: seconds(router.retry_after, ROUTING_DEFAULT.retryAfterMs),
    allowedFails: either('allowed_fails') ?? ROUTING_DEFAULT.allowedFails,
    cooldownMs: router.disable_cooldowns === true ? 0 : cooldownMs,
    fallbacks: joined(either('fallbacks')),
    contextFallbacks: joined(either('context_window_fallbacks')),
    defaultFallbacks: either('default_fallbacks') ?? [],
    fallbacksMax: router.max_fallbacks ?? ROUTING_DEFAULT.fallbacksMax,
    aliases: Object.fromEntries(
      Object.entries(router.model_group_alias ?? {}).map(([name, to]) => [
        name,
        typeof to === 'string' ? to : to.model,
      ]),
    ),
    providerBudgets: Object.fromEntries(
      Object.entries(router.provider_budget_config ?? {}).map(([provider, budget]) => [
        provider,
        { nanos: nanosFromNumber(budget.budget_limit), window: budget.time_period },
      ]),
    ),
    healthCheckMs: checks ? seconds(general.health_check_interval ?? HEALTH_CHECK_SECONDS_DEFAULT, 0) : null,
  };
}

/** Names in the routing that no entry of the model list serves, as `router_settings.…`. */
export function unknownTargets(routing: Routing, publicNames: readonly string[]): readonly string[] {
  const serves = (name: string) =>
    publicNames.some(
      (known) =>
        known === name || known === '*' || (known.endsWith('/*') && name.startsWith(known.slice(0, -1))),
    );
  const places: readonly (readonly [string, readonly string[]])[] = [
    ['fallbacks', Object.values(routing.fallbacks).flat()],
    ['context_window_fallbacks', Object.values(routing.contextFallbacks).flat()],
    ['default_fallbacks', routing.defaultFallbacks],
    ['model_group_alias', Object.values(routing.aliases)],
  ];
  return places.flatMap(([place, names]) =>
    names
      .filter((name) => !serves(name))
      .map((name) => `router_settings.${place}: there is no model ${name}`),
  );
}

function strategyOf(name: string): Strategy {
  return (name === 'usage-based-routing-v2' ? 'usage-based-routing' : name) as Strategy;
}

function joined(list: z.infer<typeof FallbackList>): Fallbacks {
  return Object.assign({}, ...(list ?? [])) as Fallbacks;
}
