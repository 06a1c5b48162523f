import type { Deployment } from '../domain/deployment.ts';
import { budgetWindow } from '../domain/duration.ts';
import type { ProviderBudget } from '../domain/routing.ts';
import { type Accounts, newOwner } from './accounts.ts';
import {
  addSpent,
  type BudgetMeter,
  type BudgetOwner,
  meterOf,
  ownNanos,
  readAgain,
  unreserve,
} from './budget.ts';
import type { ClaimTime } from './claims.ts';
import type { DeploymentProviders } from './deployment-providers.ts';
import type { SpentSince } from './ledger-question.ts';
import type { Account } from './levels.ts';
import type { Shares } from './shares.ts';
import type { SpendPlace } from './spend-writer.ts';

/**
 * What the agency pays each provider in the current window, and how much that may be. Counted is the cost of
 * what was served, not its price: the worst case is held before the provider is called and settled afterwards,
 * without a pause in between. Accounts and meters are those of other budgets, so what was spent before comes
 * from the ledger, and several processes have shares of one budget.
 */
export interface ProviderBudgets {
  /** Whether the deployment's provider has a budget. */
  limits(deployment: Deployment): boolean;
  /** False once the budget is spent, as far as that is known without asking. */
  hasRoom(deployment: Deployment, time: ClaimTime): boolean;
  /**
   * Null: the budget has no room for so many nanos. A promise: that is not known yet; to be tried again then.
   * Rejects when nobody can be asked.
   */
  hold(deployment: Deployment, nanos: bigint, time: ClaimTime): Hold | Promise<void> | null;
  /** The same without asking anybody, for a request that is to change over from `instead`. */
  holdAtOnce(deployment: Deployment, nanos: bigint, instead: Hold): Hold | null;
  /** When the window of the deployment's budget ends: since 1970, and from now on. */
  resets(deployment: Deployment): { readonly atMs: number; readonly inMs: number };
  /** Others keep the same budgets from now on. */
  share(shares: Shares): void;
  /** Provider, budget and the window that it is in now. */
  windows(): readonly ProviderWindow[];
}

/** What a request may cost at most, until that is known. */
export interface Hold {
  /** Null where nothing is limited. */
  readonly meter: BudgetMeter | null;
  readonly nanos: bigint;
  /** What was really paid, once that is durable; null when nothing was. Later calls do nothing. */
  settle(paid: Paid | null): void;
}

export interface Paid {
  readonly admittedMs: number;
  readonly nanos: bigint;
  readonly place: SpendPlace;
}

export interface ProviderWindow {
  readonly provider: string;
  readonly budget: ProviderBudget;
  readonly startsAt: string;
  readonly endsAt: string;
}

export interface ProviderSpend extends ProviderWindow {
  readonly nanos: bigint;
}

export interface ProviderBudgetsOptions {
  readonly budgets: Readonly<Record<string, ProviderBudget>>;
  readonly accounts: Accounts;
  /** Null when the ledger knows them without being told. */
  readonly providers: DeploymentProviders | null;
  /** Of the calendar that windows follow. */
  readonly zone: () => string;
  readonly wallMs: () => number;
}

interface Place {
  readonly limit: bigint;
  readonly account: Account;
  readonly owner: BudgetOwner;
  readonly meter: BudgetMeter;
}

/** Where nothing is limited. */
const NOTHING_HELD: Hold = { meter: null, nanos: 0n, settle: () => undefined };

/** Of routers whose providers have no budgets. */
export const NO_PROVIDER_BUDGETS: ProviderBudgets = {
  limits: () => false,
  hasRoom: () => true,
  hold: () => NOTHING_HELD,
  holdAtOnce: () => NOTHING_HELD,
  resets: () => ({ atMs: Infinity, inMs: Infinity }),
  share: () => undefined,
  windows: () => [],
};

export function createProviderBudgets(options: ProviderBudgetsOptions): ProviderBudgets {
  const { accounts, providers, zone, wallMs } = options;
  const budgets = new Map(Object.entries(options.budgets));
  if (budgets.size === 0) return NO_PROVIDER_BUDGETS;
  let shares: Shares | null = null;

  /** Null where nothing is limited. What was spent before begins to be read when it is not known. */
  function placeOf({ provider }: Deployment): Place | null {
    const budget = provider === undefined ? undefined : budgets.get(provider);
    if (budget === undefined) return null;
    const account = accounts.get('provider', provider!);
    const owner = (account.owners[0] ??= newOwner());
    const meter = meterOf(owner, budget, zone(), wallMs(), account.ledger);
    return { limit: budget.nanos, account, owner, meter };
  }

  function taken({ account, owner, meter }: Place, nanos: bigint): Hold {
    let open = true;
    account.running += 1;
    account.quietSweeps = 0;
    meter.reservedNanos += nanos;
    return {
      meter,
      nanos,
      settle(paid) {
        if (!open) return;
        open = false;
        account.running -= 1;
        unreserve(meter, nanos);
        if (paid !== null) addSpent(owner, paid.admittedMs, paid.nanos, paid.place);
        const share = owner.meter?.share;
        if (shares !== null && share != null && ownNanos(owner.meter!) > share.granted) shares.report(share);
      },
    };
  }

  /** 'nothing' is lacking; null when more was asked for in vain since the request came in. */
  function lack(place: Place, nanos: bigint, time: ClaimTime): 'nothing' | Promise<void> | null {
    const { limit, account, meter } = place;
    if (shares === null) return 'nothing';
    const { share } = meter;
    if (share === null) return readAgain(meter, account.ledger);
    const left = share.granted - ownNanos(meter) - nanos;
    if (left >= 0n) {
      if (left < share.lowWater) shares.fetch(share, limit);
      return 'nothing';
    }
    return shares.isDry(share, time.arrivedMs, time.nowMs) ? null : shares.need(share, nanos, limit);
  }

  return {
    limits: ({ provider }) => provider !== undefined && budgets.has(provider),
    hasRoom(deployment, { arrivedMs, nowMs }) {
      const place = placeOf(deployment);
      if (place === null || place.meter.loadedTo === null) return true;
      const { meter } = place;
      if (!fits(place, 1n)) return false;
      if (shares === null || meter.share === null || ownNanos(meter) < meter.share.granted) return true;
      return !shares.isDry(meter.share, arrivedMs, nowMs);
    },
    hold(deployment, most, time) {
      const place = placeOf(deployment);
      if (place === null) return NOTHING_HELD;
      if (providers?.isNoted(deployment) === false) return providers.note();
      if (place.meter.loadedTo === null) return place.meter.loading!;
      const nanos = atLeastOne(most);
      if (!fits(place, nanos)) return null;
      const lacking = lack(place, nanos, time);
      return lacking === null || lacking instanceof Promise ? lacking : taken(place, nanos);
    },
    holdAtOnce(deployment, most, instead) {
      const place = placeOf(deployment);
      if (place === null) return NOTHING_HELD;
      const { meter, limit } = place;
      if (providers?.isNoted(deployment) === false || meter.loadedTo === null) return null;
      const nanos = atLeastOne(most);
      // What it holds there already is given back at once.
      const more = instead.meter === meter ? nanos - instead.nanos : nanos;
      if (!fits(place, more)) return null;
      if (shares !== null) {
        const { share } = meter;
        if (share === null) return null;
        if (ownNanos(meter) + more > share.granted) {
          shares.fetch(share, limit);
          return null;
        }
      }
      return taken(place, nanos);
    },
    resets(deployment) {
      const atMs = placeOf(deployment)?.meter.window.endMs ?? Infinity;
      return { atMs, inMs: atMs - wallMs() };
    },
    share(begun) {
      shares = begun;
    },
    windows: () =>
      [...budgets].map(([provider, budget]) => {
        const { startsAt, endsAt } = budgetWindow(budget.window, wallMs(), zone());
        return { provider, budget, startsAt, endsAt };
      }),
  };
}

/** What the ledger has of the current windows, all that this process has recorded included. */
export async function providerSpends(
  costs: ProviderBudgets,
  spentSince: SpentSince,
  flush: () => Promise<bigint>,
): Promise<readonly ProviderSpend[]> {
  const windows = costs.windows();
  if (windows.length === 0) return [];
  const mustInclude = await flush();
  return await Promise.all(
    windows.map(async (window) => {
      const question = {
        level: 'provider',
        id: window.provider,
        model: null,
        after: null,
        mustInclude,
      } as const;
      const { nanos } = await spentSince({ ...question, since: window.startsAt });
      return { ...window, nanos };
    }),
  );
}

/** A provider whose budget is spent takes nothing more, not even what costs nothing. */
function atLeastOne(nanos: bigint): bigint {
  return nanos > 0n ? nanos : 1n;
}

function fits({ limit, meter }: Place, nanos: bigint): boolean {
  return meter.spentNanos + meter.reservedNanos + nanos <= limit;
}
