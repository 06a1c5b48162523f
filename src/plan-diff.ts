import { termsToJson } from './domain/terms-json.ts';
import type { Json } from './domain/json.ts';
import type { Terms } from './domain/plan.ts';
import { load } from './transact.ts';
import { plan } from './domain/plan.ts';
import type { EventStore } from './store/event-store.ts';

/** What differs between two versions of a plan, member by member. */
export interface TermChange {
  /** Such as `limits.production.requestsPerMinute`. */
  readonly term: string;
  /** As JSON; null where there is none. Amounts are in nanos. */
  readonly before: string | null;
  readonly after: string | null;
}

export function diffTerms(before: Terms, after: Terms): readonly TermChange[] {
  const [was, is] = [membersOf(before), membersOf(after)];
  const names = [...new Set([...was.keys(), ...is.keys()])].filter((name) => name !== 'planVersion');
  return names
    .filter((name) => was.get(name) !== is.get(name))
    .toSorted((a, b) => (a < b ? -1 : 1))
    .map((term) => ({ term, before: was.get(term) ?? null, after: is.get(term) ?? null }));
}

function membersOf(terms: Terms): ReadonlyMap<string, string> {
  const members = new Map<string, string>();
  const walk = (value: Json, path: string): void => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      members.set(path, JSON.stringify(value));
      return;
    }
    for (const [name, member] of Object.entries(value)) walk(member, path === '' ? name : `${path}.${name}`);
  };
  walk(termsToJson(terms), '');
  return members;
}

/** A published version; the newest when none is named. Null when there is no such one. */
export async function publishedTerms(
  store: EventStore,
  name: string,
  version: number | null,
): Promise<Terms | null> {
  if (version === null) return (await load(store, plan, `plan-${name}`)).terms;
  for await (const { event } of store.readStream(`plan-${name}`)) {
    if (event.type === 'plan.published' && event.data.terms.planVersion === version) return event.data.terms;
  }
  return null;
}
