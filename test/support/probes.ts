/** Requests that put a name of somebody else's into every place where a route takes one. */
import type { Call } from './admin.ts';
import { KINDS, type Kind } from './victim.ts';

/** How requests call things of each kind: single ones, and lists. */
const FIELDS: Readonly<Record<Kind, { readonly one: readonly string[]; readonly many: readonly string[] }>> =
  {
    key: { one: ['key', 'api_key', 'key_hash', 'token'], many: ['keys'] },
    alias: { one: ['key_alias', 'search'], many: ['key_aliases'] },
    team: { one: ['team_id', 'project_id', 'id'], many: ['team_ids'] },
    organization: { one: ['organization_id', 'org_id', 'id'], many: ['organization_ids'] },
    user: { one: ['user_id', 'internal_user_id'], many: ['user_ids'] },
    customer: {
      one: ['user_id', 'end_user_id', 'end_user', 'customer_id'],
      many: ['user_ids', 'end_user_ids'],
    },
    tag: { one: ['name'], many: ['names', 'tags'] },
  };

/** What makes a body complete on routes that want more than a name. */
const FILLING = {
  reset_to: 0,
  model: 'demo-small',
  team_alias: 'probe',
  organization_alias: 'probe',
  user_role: 'internal_user',
  max_budget_in_team: 1,
  role: 'user',
  description: 'probe',
  metadata: { probe: true },
};

/** Reports want dates. */
const DATES = 'start_date=2026-11-01&end_date=2026-11-30';

export interface Probe extends Call {
  readonly name: string;
}

export interface Naming {
  readonly kind: Kind;
  readonly id: string;
}

/** The requests to one route that name the thing: in the path, the query, the body and headers. */
export function probesOf(
  { method, url }: { readonly method: string; readonly url: string },
  { kind, id }: Naming,
  own: { readonly team: string; readonly user: string },
): readonly Probe[] {
  const path = url.replaceAll(/:\w+|\*/g, encodeURIComponent(id));
  const name = `${method} ${url} with a ${kind}`;
  const headers = { 'litellm-changed-by': id, 'x-litellm-end-user-id': id };
  const base = { method: method as 'GET', headers, name };
  const query = FIELDS[kind].one.map((field) => `${field}=${encodeURIComponent(id)}`).join('&');
  if (method === 'GET') {
    const lists = FIELDS[kind].many.map((field) => `${field}=${encodeURIComponent(id)}`).join('&');
    return [
      { ...base, url: `${path}?${DATES}&${query}` },
      { ...base, url: `${path}?${DATES}&${lists}&include_team_keys=true&return_full_object=true` },
    ];
  }
  const named = Object.fromEntries([
    ...FIELDS[kind].one.map((field) => [field, id]),
    ...FIELDS[kind].many.map((field) => [field, [id]]),
  ]) as Record<string, unknown>;
  const member = { role: 'user', user_id: kind === 'user' ? id : own.user };
  // What ends the caller's own rights would make everything after it a refusal.
  if (/(block|delete|remove|regenerate)/.test(url)) return [{ ...base, url: path, body: named }];
  const completed = { ...FILLING, member, members: [member], ...named };
  return [
    { ...base, url: path, body: named },
    // Beside something that is the caller's own.
    { ...base, url: `${path}?${query}`, body: { team_id: own.team, user_id: own.user, ...completed } },
  ];
}

export const namings = (ids: Readonly<Record<Kind, string>>): readonly Naming[] =>
  KINDS.map((kind) => ({ kind, id: ids[kind] }));
