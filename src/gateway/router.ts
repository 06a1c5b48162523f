import type { Deployment } from '../domain/deployment.ts';
import { type Routing, ROUTING_DEFAULT } from '../domain/routing.ts';
import { unreachable } from '../domain/decider.ts';
import { isoInstant } from '../domain/local-time.ts';
import { Refusal } from '../errors.ts';
import { matchesName } from './model-names.ts';
import { type Claim, claimAtOnce, claimFor, type ClaimTime, isAvailable, shareStanding } from './claims.ts';
import { NO_PROVIDER_BUDGETS, type ProviderBudgets } from './provider-budgets.ts';
import type { Shares } from './shares.ts';
import { newStanding, type Standing } from './standing.ts';

/** Finds the deployment that serves a public model name, by the strategy when there are several. */
export interface Router {
  /** The model that a name stands for: itself, unless it is an alias. */
  resolve(model: string): string;
  /** Whether a deployment has the name or a wildcard for it. */
  serves(model: string): boolean;
  /**
   * Null when no deployment has the name or a wildcard for it. Throws
   * Refusal(all_deployments_in_cooldown | provider_budget_exceeded) when none of them may be asked.
   */
  pick(model: string, wish?: Wish): Deployment | null;
  /** Another one after `failed`; the same when there is no other, null when that is left alone too. */
  again(model: string, failed: Deployment): Deployment | null;
  /** Room at a deployment for a request of at most so many tokens; as `claimFor` says. */
  claim(deployment: Deployment, tokens: number, time: ClaimTime): Claim | Promise<void> | null;
  /** The same without asking others, for a request that is sent after so long. */
  claimAtOnce(deployment: Deployment, tokens: number, waitMs: number): Claim | null;
  /** Others keep the limits of deployments, too, from now on. */
  share(shares: Shares): void;
  /** All that may answer a request for the model; null when that is only one. */
  alternatives(model: string): readonly Alternative[] | null;
  fallbacks(model: string): readonly string[];
  contextFallbacks(model: string): readonly string[];
  standingOf(deployment: Deployment): Standing;
  /** Whether others share its name, so that it can be left alone. */
  hasOthers(deployment: Deployment): boolean;
  standings(): readonly Standing[];
  /** Goes up whenever what can be served has changed. */
  generation(): number;
}

/** The deployments there are; the same array as long as they stay the same. */
export type Deployments = readonly Deployment[] | (() => readonly Deployment[]);

export interface Alternative {
  readonly model: string;
  readonly deployment: Deployment;
}

/** Which deployment a request may still have. */
export interface Wish {
  /** When it came in; now when left out. */
  readonly arrivedMs?: number | undefined;
  /** Where there was no room for it. */
  readonly without: readonly Deployment[];
  /** Of those, whose provider's budget had no room for it. */
  readonly unpaid?: readonly Deployment[];
  /** Where it was until now: the room that it has in that provider's budget, it keeps. */
  readonly from?: Deployment;
}

const NONE: readonly string[] = [];

/** `random` gives numbers from 0 to less than 1; `nowMs` is a clock that never goes back. */
export function createRouter(
  deployments: Deployments,
  random: () => number,
  routing: Routing = ROUTING_DEFAULT,
  nowMs: () => number = () => 0,
  costs: ProviderBudgets = NO_PROVIDER_BUDGETS,
): Router {
  const countsTokens = routing.strategy === 'usage-based-routing';
  const source = typeof deployments === 'function' ? deployments : () => deployments;
  // Of deployments that are gone, too: requests to them may still be on their way.
  const byDeployment = new WeakMap<Deployment, Standing>();
  let shares: Shares | null = null;
  let served: Served = { deployments: [], standings: [], byName: new Map(), wildcards: [] };
  let generation = 0;
  const choose = chooser(routing, random, nowMs);

  function standingOf(deployment: Deployment): Standing {
    let standing = byDeployment.get(deployment);
    if (standing === undefined) {
      const before = served.standings.find((known) => known.deployment.id === deployment.id) ?? null;
      standing = newStanding(deployment, countsTokens, before);
      if (shares !== null && isLimited(standing)) standing.sharing ??= shareStanding(standing, shares);
      byDeployment.set(deployment, standing);
    }
    return standing;
  }

  function availableIn(group: readonly Standing[], wish: Wish | null): readonly Standing[] {
    const now = nowMs();
    const time = { nowMs: now, arrivedMs: wish?.arrivedMs ?? now };
    return group.filter(
      (standing) =>
        isAvailable(standing, time) &&
        wish?.without.includes(standing.deployment) !== true &&
        (isPaidFor(standing.deployment, wish) || costs.hasRoom(standing.deployment, time)),
    );
  }

  function refusalFor(model: string, group: readonly Standing[], wish: Wish | null): Refusal {
    const now = nowMs();
    const time = { nowMs: now, arrivedMs: wish?.arrivedMs ?? now };
    const isSpent = ({ deployment }: Standing) =>
      wish?.unpaid?.includes(deployment) === true || !costs.hasRoom(deployment, time);
    if (!group.every(isSpent)) return restingRefusal(model, group, now);
    const resets = group.map(({ deployment }) => costs.resets(deployment));
    return spentRefusal(
      model,
      resets.reduce((first, next) => (next.atMs < first.atMs ? next : first)),
    );
  }

  function current(): Served {
    const now = source();
    if (now !== served.deployments) {
      served = servedBy(now, now.map(standingOf));
      generation += 1;
    }
    return served;
  }

  function groupOf(model: string): readonly Standing[] | undefined {
    const { byName, wildcards } = current();
    const exact = byName.get(model);
    if (exact !== undefined && !wildcards.includes(model)) return exact;
    const wildcard = wildcards.find((name) => matchesName(name, model));
    return wildcard === undefined ? undefined : byName.get(wildcard);
  }

  function fallbacks(model: string): readonly string[] {
    const own = Object.hasOwn(routing.fallbacks, model)
      ? routing.fallbacks[model]!
      : routing.defaultFallbacks;
    return own.length === 0 ? NONE : own.filter((name) => name !== model).slice(0, routing.fallbacksMax);
  }

  function contextFallbacks(model: string): readonly string[] {
    const { contextFallbacks: all } = routing;
    return Object.hasOwn(all, model) ? all[model]!.slice(0, routing.fallbacksMax) : NONE;
  }

  function alternatives(model: string): readonly Alternative[] | null {
    const group = groupOf(model) ?? [];
    const others = [...fallbacks(model), ...contextFallbacks(model)];
    if (group.length < 2 && others.length === 0) return null;
    const models = [model, ...others];
    return models.flatMap((name) =>
      (groupOf(name) ?? []).map(({ deployment }) => ({ model: name, deployment })),
    );
  }

  return {
    resolve: (model) => (Object.hasOwn(routing.aliases, model) ? routing.aliases[model]! : model),
    serves: (model) => groupOf(model) !== undefined,
    pick(model, wish) {
      const group = groupOf(model);
      if (group === undefined) return null;
      const only = group.length === 1 ? group[0]! : null;
      if (only !== null && !isLimited(only) && !costs.limits(only.deployment)) return only.deployment;
      const available = availableIn(group, wish ?? null);
      if (available.length > 0) return choose(available).deployment;
      throw refusalFor(model, group, wish ?? null);
    },
    again(model, failed) {
      const available = availableIn(groupOf(model) ?? [], { without: [], from: failed });
      const others = available.filter(({ deployment }) => deployment !== failed);
      if (others.length > 0) return choose(others).deployment;
      return available.length > 0 ? failed : null;
    },
    claim: (deployment, tokens, time) => claimFor(standingOf(deployment), tokens, time),
    claimAtOnce(deployment, tokens, waitMs) {
      const now = nowMs();
      return claimAtOnce(standingOf(deployment), tokens, now, now + waitMs);
    },
    share(begun) {
      shares = begun;
      for (const standing of current().standings)
        if (isLimited(standing)) standing.sharing ??= shareStanding(standing, begun);
    },
    alternatives,
    fallbacks,
    contextFallbacks,
    standingOf,
    hasOthers: ({ publicName }) => (current().byName.get(publicName)?.length ?? 0) > 1,
    standings: () => current().standings,
    generation() {
      current();
      return generation;
    },
  };
}

interface Served {
  readonly deployments: readonly Deployment[];
  readonly standings: readonly Standing[];
  readonly byName: ReadonlyMap<string, readonly Standing[]>;
  /** The longest prefix is the most precise and comes first, `*` last. */
  readonly wildcards: readonly string[];
}

function servedBy(deployments: readonly Deployment[], standings: readonly Standing[]): Served {
  const byName = new Map<string, Standing[]>();
  for (const standing of standings) {
    const { publicName } = standing.deployment;
    const group = byName.get(publicName);
    if (group === undefined) byName.set(publicName, [standing]);
    else group.push(standing);
  }
  const wildcards = [...byName.keys()]
    .filter((name) => name === '*' || name.endsWith('/*'))
    .toSorted((a, b) => b.length - a.length);
  return { deployments, standings, byName, wildcards };
}

function isLimited({ deployment }: Standing): boolean {
  return deployment.requestsPerMinute != null || deployment.tokensPerMinute != null;
}

function restingRefusal(model: string, group: readonly Standing[], nowMs: number): Refusal {
  const waits = group.map(({ cooledUntilMs }) => cooledUntilMs - nowMs).filter((ms) => ms > 0);
  const retryAfterSeconds = Math.max(Math.ceil(Math.min(...waits, 5_000) / 1_000), 1);
  return new Refusal('all_deployments_in_cooldown', { model, retryAfterSeconds }, { retryAfterSeconds });
}

function isPaidFor({ provider }: Deployment, wish: Wish | null): boolean {
  return wish?.from !== undefined && wish.from.provider === provider;
}

/** What was spent, and with whom, is the agency's business. */
function spentRefusal(model: string, resets: { readonly atMs: number; readonly inMs: number }): Refusal {
  const retryAfterSeconds = Math.max(Math.ceil(resets.inMs / 1_000), 1);
  const detail = { model, resetsAt: isoInstant(resets.atMs) };
  return new Refusal('provider_budget_exceeded', detail, { retryAfterSeconds });
}

function chooser(
  { strategy }: Routing,
  random: () => number,
  nowMs: () => number,
): (among: readonly Standing[]) => Standing {
  switch (strategy) {
    case 'simple-shuffle':
      return (among) => byWeight(among, random());
    case 'least-busy':
      return (among) => least(among, ({ running }) => running, random());
    case 'latency-based-routing':
      return (among) => least(among, ({ latencyMs }) => latencyMs, random());
    case 'usage-based-routing':
      return (among) => least(among, ({ tokens }) => tokens.used(nowMs()), random());
    case 'cost-based-routing':
      return (among) => least(among, costOf, random());
    default:
      return unreachable(strategy);
  }
}

/** Of a token in and a token out; what is not known is dearest. */
function costOf({ deployment: { costRates } }: Standing): number {
  return costRates === null ? Infinity : Number(costRates.input + costRates.output);
}

/** Of those that are equally good, by weight. */
function least(among: readonly Standing[], of: (standing: Standing) => number, random: number): Standing {
  const values = among.map(of);
  const lowest = Math.min(...values);
  return byWeight(
    among.filter((_, i) => values[i] === lowest),
    random,
  );
}

function byWeight(group: readonly Standing[], random: number): Standing {
  if (group.length === 1) return group[0]!;
  let total = 0;
  for (const { deployment } of group) total += deployment.weight;
  let left = random * total;
  for (const standing of group) {
    left -= standing.deployment.weight;
    if (left < 0) return standing;
  }
  return group.at(-1)!;
}
