import type { BudgetOwner } from './budget.ts';
import type { Account, LevelName } from './levels.ts';
import { matchesName } from './model-names.ts';
import { rateWindow } from './rate-window.ts';
import type { SpendToRecord } from './spool-records.ts';

/**
 * The accounts of all levels on which something is limited. Every request of a level counts on its
 * account from its admission on; where an account came into being later than that, settling finds it
 * (`concerned`), so that no account ever misses what was spent.
 *
 * An account that is not used any more is thrown away when there are many: its rate windows are empty
 * then, and what its budgets had spent can be read again.
 */
export interface Accounts {
  /** Made when there is none. `model` is the name that the level is narrowed to, null for all models. */
  get(name: LevelName, id: string, model?: string | null): Account;
  /** There are no limits on this level any more: what is spent from here on is not counted. */
  forget(name: LevelName, id: string): void;
  /** The same of all models but these. */
  forgetModelsBut(name: LevelName, id: string, kept: ReadonlySet<string>): void;
  /** How many were made so far. */
  readonly made: number;
  /** Counts the sweeps that threw something away: what was derived with accounts before has to be derived anew. */
  readonly generation: number;
  readonly size: number;
  all(): Iterable<Account>;
  /** The accounts that there are for a request like this. */
  concerned(spend: SpendToRecord): readonly Account[];
  /** Throws away what was not used since the sweep before the last, while there are more than `keptMax`. */
  sweep(monotonicMs: number, keptMax: number): void;
}

export type LedgerOf = (name: LevelName, id: string, model: string | null) => Account['ledger'];

const QUIET_SWEEPS = 2;

export function createAccounts(
  ledgerOf: LedgerOf,
  onDropped: (account: Account) => void = () => undefined,
): Accounts {
  const accounts = new Map<string, Account>();
  /** By level: the models that have an account of their own there. */
  const models = new Map<string, Set<string>>();
  let made = 0;
  let generation = 0;

  function noteModel(level: string, model: string): void {
    const known = models.get(level);
    if (known === undefined) models.set(level, new Set([model]));
    else known.add(model);
  }

  function drop(level: string, model: string): void {
    dropAt(`${level}\n${model}`);
    const known = models.get(level);
    known?.delete(model);
    if (known?.size === 0) models.delete(level);
  }

  function dropAt(place: string): void {
    const account = accounts.get(place);
    if (account !== undefined && accounts.delete(place)) onDropped(account);
  }

  return {
    get made() {
      return made;
    },
    get generation() {
      return generation;
    },
    get size() {
      return accounts.size;
    },
    all: () => accounts.values(),
    get(name, id, model = null) {
      const place = placeOf(name, id, model);
      let account = accounts.get(place);
      if (account === undefined) {
        account = newAccount([name, id, model], ledgerOf(name, id, model));
        accounts.set(place, account);
        if (model !== null) noteModel(placeOf(name, id, null), model);
        made += 1;
      }
      return account;
    },
    forget(name, id) {
      dropAt(placeOf(name, id, null));
    },
    forgetModelsBut(name, id, kept) {
      const level = placeOf(name, id, null);
      for (const model of models.get(level) ?? []) if (!kept.has(model)) drop(level, model);
    },
    concerned(spend) {
      const found: Account[] = [];
      for (const [name, id] of scopesOf(spend)) {
        const level = placeOf(name, id, null);
        const account = accounts.get(level);
        if (account !== undefined) found.push(account);
        const limited = models.get(level);
        if (limited === undefined) continue;
        for (const model of limited) {
          if (matchesName(model, spend.data.model)) found.push(accounts.get(placeOf(name, id, model))!);
        }
      }
      return found;
    },
    sweep(monotonicMs, keptMax) {
      const before = accounts.size;
      for (const [place, account] of accounts) {
        account.quietSweeps += 1;
        if (accounts.size > keptMax && isQuiet(account, monotonicMs)) dropAt(place);
      }
      for (const [level, names] of models) {
        for (const model of names) if (!accounts.has(`${level}\n${model}`)) drop(level, model);
      }
      if (accounts.size < before) generation += 1;
    },
  };
}

export function newOwner(): BudgetOwner {
  return { meter: null, newestStartMs: -Infinity };
}

function newAccount(scope: Account['scope'], ledger: Account['ledger']): Account {
  return {
    requests: rateWindow(),
    tokens: rateWindow(),
    owners: [],
    ledger,
    running: 0,
    scope,
    shares: null,
    quietSweeps: 0,
  };
}

function isQuiet(account: Account, monotonicMs: number): boolean {
  if (account.running > 0 || account.quietSweeps < QUIET_SWEEPS) return false;
  if (account.requests.used(monotonicMs) > 0 || account.tokens.used(monotonicMs) > 0) return false;
  return account.owners.every(({ meter }) => meter === null || meter.loading === null);
}

function placeOf(name: LevelName, id: string, model: string | null): string {
  return model === null ? `${name}\n${id}` : `${name}\n${id}\n${model}`;
}

/** Every level that a request counts on, whether anything is limited there or not. */
function scopesOf({ tenantId, data }: SpendToRecord): readonly (readonly [LevelName, string])[] {
  const { keyId, projectId, userId, endUser, tags } = data;
  const scopes: (readonly [LevelName, string])[] = [
    ['key', keyId],
    ['installation', ''],
  ];
  if (projectId !== null) scopes.push(['project', projectId]);
  if (tenantId !== null) scopes.push(['tenant', tenantId]);
  if (userId !== null) scopes.push(['user', userId]);
  if (userId !== null && projectId !== null) scopes.push(['member', `${projectId}/${userId}`]);
  if (userId !== null && tenantId !== null) scopes.push(['tenant-member', `${tenantId}/${userId}`]);
  if (endUser !== null) scopes.push(['end-user', `${tenantId}/${endUser}`]);
  for (const tag of tags) scopes.push(['tag', `${tenantId}/${tag}`]);
  return scopes;
}
