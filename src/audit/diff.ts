import { canonicalJson, type Json } from '../domain/json.ts';

/** What differs between two moments. As JSON. */
export type Diff = {
  readonly from: Side;
  readonly to: Side;
  /** Members that differ, by their path such as `keys.key_1.status`; null stands for "was not there". */
  readonly changes: readonly { readonly field: string; readonly before: Json; readonly after: Json }[];
};

type Side = {
  readonly at: string;
  readonly position: string | null;
  readonly log_position: string;
};

interface Snapshot extends Side {
  readonly agency_id: string;
  readonly tenant_id: string;
  readonly state: Json;
  readonly budgets: Json;
  readonly spend: Json;
}

/** Compares two snapshots of the same thing. Lists are compared as a whole. */
export function diffOf(before: Snapshot, after: Snapshot): Diff & { agency_id: string; tenant_id: string } {
  const changes: { field: string; before: Json; after: Json }[] = [];
  const parts = ['state', 'budgets', 'spend'] as const;
  for (const part of parts) compare(part === 'state' ? '' : part, before[part], after[part], changes);
  const { agency_id, tenant_id } = after;
  return { agency_id, tenant_id, from: sideOf(before), to: sideOf(after), changes };
}

function sideOf({ at, position, log_position }: Snapshot): Side {
  return { at, position, log_position };
}

function compare(
  path: string,
  before: Json,
  after: Json,
  changes: { field: string; before: Json; after: Json }[],
): void {
  if (isObject(before) || isObject(after)) {
    const [left, right] = [isObject(before) ? before : {}, isObject(after) ? after : {}];
    for (const name of new Set([...Object.keys(left), ...Object.keys(right)])) {
      compare(path === '' ? name : `${path}.${name}`, left[name] ?? null, right[name] ?? null, changes);
    }
  } else if (canonicalJson(before) !== canonicalJson(after)) changes.push({ field: path, before, after });
}

function isObject(value: Json): value is { readonly [name: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
