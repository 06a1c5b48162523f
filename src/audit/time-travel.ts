import { type Diff, diffOf } from './diff.ts';
import { keyHistory, type KeyHistory, type KeyHistoryDeps, type Moment } from './key-history.ts';
import { type TenantHistory, tenantHistory } from './tenant-history.ts';

/** What the audit API asks for, with null for "everything up to now". */
export interface TimeTravel {
  readonly replay: (name: string, at: Moment | null) => Promise<KeyHistory | null>;
  readonly replayTenant: (id: string, at: Moment | null) => Promise<TenantHistory | null>;
  readonly diff: (name: string, from: Moment, to: Moment | null) => Promise<OwnedDiff | null>;
  readonly diffTenant: (id: string, from: Moment, to: Moment | null) => Promise<OwnedDiff | null>;
}

type OwnedDiff = Diff & { readonly agency_id: string; readonly tenant_id: string };

export function timeTravel(deps: KeyHistoryDeps): TimeTravel {
  const replay = (name: string, at: Moment | null) => keyHistory(deps, name, at === null ? {} : { at });
  const replayTenant = (id: string, at: Moment | null) => tenantHistory(deps, id, at === null ? {} : { at });
  return {
    replay,
    replayTenant,
    async diff(name, from, to) {
      const [before, after] = [await replay(name, from), await replay(name, to)];
      return before === null || after === null ? null : diffOf(before, after);
    },
    async diffTenant(id, from, to) {
      const [before, after] = [await replayTenant(id, from), await replayTenant(id, to)];
      return before === null || after === null ? null : diffOf(before, after);
    },
  };
}
