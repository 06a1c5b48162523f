import { type RawBuilder, sql } from 'kysely';
import { z } from 'zod';
import { Refusal } from '../errors.ts';
import type { Caller } from './caller.ts';
import { seesAll } from './permissions.ts';
import { columnFor } from './key-target.ts';
import type { Db } from './read.ts';

/**
 * Whose spend a caller sees, as a condition on the rows of `spend_log s`: administrators everything,
 * organization admins what their organizations spent, team admins what their teams spent, everybody
 * what they spent themselves. Every condition names tenants first, because the log of requests is
 * indexed by tenant and time.
 */
export interface SpendScope {
  readonly rows: RawBuilder<boolean>;
  /** Null: every one. */
  readonly tenants: readonly string[] | null;
  /** The organizations and teams that the caller leads; empty where `tenants` is null. */
  readonly led: readonly string[];
  readonly teams: readonly string[];
  /** Whose own spend is seen; null for those who see everything. */
  readonly userId: string | null;
}

/** Throws Refusal(not_yours) for callers without a user: nothing is theirs. */
export async function spendScope(db: Db, caller: Caller | null): Promise<SpendScope> {
  if (seesAll(caller)) return { rows: sql`true`, tenants: null, led: [], teams: [], userId: null };
  if (caller?.role !== 'user') throw new Refusal('not_yours', { problem: 'This key has no user.' });
  const { userId, tenants: memberships, projects } = caller.standing;
  const viewer = caller.standing.role === 'internal_user_viewer';
  const led = viewer ? [] : [...memberships].filter(([, role]) => role === 'org_admin').map(([id]) => id);
  const inTeams = viewer ? [] : [...projects].filter(([, { role }]) => role === 'admin');
  const teams = inTeams.map(([id]) => id);
  const own = await db
    .selectFrom('keys')
    .select('tenant_id')
    .distinct()
    .where('user_id', '=', userId)
    .execute();
  const tenants = [
    ...new Set([
      ...led,
      ...inTeams.map(([, { tenantId }]) => tenantId),
      ...own.map(({ tenant_id }) => tenant_id),
    ]),
  ];
  const rows = sql<boolean>`(s.tenant_id = any(${tenants}) and (
    s.tenant_id = any(${led}) or s.project_id = any(${teams}) or s.user_id = ${userId}))`;
  return { rows, tenants, led, teams, userId };
}

/** The refusal for a filter that names something of somebody else, whether it exists or not. */
function foreign(param: string): Refusal {
  return new Refusal('not_yours', { problem: 'You may only see what is yours to see.' }, { param });
}

/** What a list of requests is narrowed to; every member is optional. */
export interface SpendFilter {
  readonly teams?: readonly string[] | undefined;
  readonly organizations?: readonly string[] | undefined;
  readonly users?: readonly string[] | undefined;
  readonly endUsers?: readonly string[] | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly model?: string | undefined;
  readonly deployment?: string | undefined;
  /** A secret, a token hash or a key id, deleted keys included. */
  readonly key?: string | undefined;
}

/** The rows of the scope that match. Throws Refusal(not_yours) for teams, organizations and users of others. */
export async function spendRows(
  db: Db,
  scope: SpendScope,
  filter: SpendFilter,
): Promise<RawBuilder<boolean>> {
  const { teams, organizations, users, endUsers, tags, model, deployment, key } = filter;
  requireSeen(scope, filter);
  const conditions: RawBuilder<boolean>[] = [scope.rows];
  if (teams !== undefined) {
    const owners = await db
      .selectFrom('projects')
      .select('tenant_id')
      .where('project_id', 'in', list(teams))
      .execute();
    const tenants = [...new Set(owners.map(({ tenant_id }) => tenant_id))];
    conditions.push(sql`s.tenant_id = any(${tenants}) and s.project_id = any(${teams})`);
  }
  if (organizations !== undefined) conditions.push(sql`s.tenant_id = any(${organizations})`);
  if (users !== undefined) {
    const found = await db
      .selectFrom('keys')
      .select('tenant_id')
      .distinct()
      .where('user_id', 'in', list(users))
      .execute();
    conditions.push(
      sql`s.tenant_id = any(${found.map(({ tenant_id }) => tenant_id)}) and s.user_id = any(${users})`,
    );
  }
  if (endUsers !== undefined) conditions.push(sql`s.end_user = any(${endUsers})`);
  if (tags !== undefined) conditions.push(sql`s.tags && ${tags}::text[]`);
  if (model !== undefined) conditions.push(sql`s.model = ${model}`);
  if (deployment !== undefined) conditions.push(sql`s.deployment = ${deployment}`);
  if (key !== undefined) conditions.push(sql`s.key_id = any(${await keyIds(db, key)})`);
  return sql`${sql.join(conditions, sql` and `)}`;
}

function requireSeen(scope: SpendScope, { teams = [], organizations = [], users = [] }: SpendFilter): void {
  if (scope.tenants === null) return;
  const leads = scope.led.length > 0;
  if (teams.some((id) => !scope.teams.includes(id)) && !leads) throw foreign('team_id');
  if (organizations.some((id) => !scope.led.includes(id))) throw foreign('organization_id');
  const others = users.some((id) => id !== scope.userId);
  if (others && !leads && scope.teams.length === 0) throw foreign('user_id');
}

/** Never empty, which SQL does not take. */
function list(names: readonly string[]): readonly string[] {
  return names.length === 0 ? [''] : names;
}

async function keyIds(db: Db, name: string): Promise<readonly string[]> {
  const found = columnFor(name);
  if (found === null) return [];
  const [column, value] = found;
  if (column === 'key_id') return [value];
  const rows = await db
    .selectFrom('keys')
    .select('key_id')
    .where((eb) => eb.or([eb('token_hash', '=', value), eb('old_token_hash', '=', value)]))
    .execute();
  return rows.map(({ key_id }) => key_id);
}

/** From `from` inclusive to `until` exclusive, both instants. */
export interface SpendRange {
  readonly from: string;
  readonly until: string;
}

export function inRange({ from, until }: SpendRange): RawBuilder<boolean> {
  return sql`s.admitted_at >= ${from}::timestamptz and s.admitted_at < ${until}::timestamptz`;
}

const DAY_MS = 86_400_000;
const DAYS_MAX = 1_000;
const DATE = /^\d{4}-\d\d-\d\d$/;

/** The two dates that most reports need. They are text, so that a missing one is refused as LiteLLM does. */
export const dates = {
  start_date: z.string().max(40).optional().describe('YYYY-MM-DD'),
  end_date: z.string().max(40).optional().describe('YYYY-MM-DD, inclusive'),
};
export interface Dates {
  readonly start_date?: string | undefined;
  readonly end_date?: string | undefined;
}

/**
 * Whole days, both inclusive. `offsetMinutes` is UTC minus local time, as browsers count.
 * Throws Refusal(bad_request).
 */
export function dayRange({ start_date: start, end_date: end }: Dates, offsetMinutes = 0): SpendRange {
  if (start === undefined || end === undefined) {
    const param = start === undefined ? 'start_date' : 'end_date';
    throw badDate(param, 'Please provide start_date and end_date');
  }
  const from = startOfDay('start_date', start) + offsetMinutes * 60_000;
  const until = startOfDay('end_date', end) + DAY_MS + offsetMinutes * 60_000;
  return range(from, until);
}

/** The same, and the last `days` days where no date is given. */
export function dayRangeOr(given: Dates, now: string, days: number): SpendRange {
  if (given.start_date !== undefined || given.end_date !== undefined) return dayRange(given);
  const tomorrow = startOfDay('end_date', now.slice(0, 10)) + DAY_MS;
  return range(tomorrow - days * DAY_MS, tomorrow);
}

/** Moments, `YYYY-MM-DD HH:MM:SS` in UTC or ISO instants; a date alone is its beginning, and at the end its last. */
export function momentRange({ start_date: start, end_date: end }: Dates): SpendRange {
  if (start === undefined || end === undefined) {
    const param = start === undefined ? 'start_date' : 'end_date';
    throw badDate(param, 'Start date and end date are required');
  }
  const until = DATE.test(end) ? startOfDay('end_date', end) + DAY_MS : moment('end_date', end) + 1_000;
  return range(moment('start_date', start), until);
}

function range(from: number, until: number): SpendRange {
  if (until <= from) throw badDate('end_date', 'end_date is before start_date');
  if (until - from > DAYS_MAX * DAY_MS) throw badDate('end_date', `Ask for ${DAYS_MAX} days at most`);
  return { from: new Date(from).toISOString(), until: new Date(until).toISOString() };
}

function startOfDay(param: string, text: string): number {
  const day = DATE.test(text) ? text : text.slice(0, 10);
  const rest = text.slice(10);
  if (!DATE.test(day) || !/^(?:[T ][0-9:.]+(?:Z|[+-]\d\d:?\d\d)?)?$/.test(rest)) throw badDate(param);
  return moment(param, day);
}

function moment(param: string, text: string): number {
  if (!/^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)?)?$/.test(text))
    throw badDate(param);
  const iso = DATE.test(text) ? `${text}T00:00:00Z` : text.replace(' ', 'T');
  const ms = Date.parse(/(?:Z|[+-]\d\d:\d\d)$/.test(iso) ? iso : `${iso}Z`);
  // 2026-02-30 is no day; the engine would take it for one in March.
  const isDay = new Date(Date.parse(`${text.slice(0, 10)}T00:00:00Z`))
    .toISOString()
    .startsWith(text.slice(0, 10));
  if (Number.isNaN(ms) || !isDay) throw badDate(param);
  return ms;
}

function badDate(param: string, problem = `${param} must be a date such as 2026-11-20`): Refusal {
  return new Refusal('bad_request', { problem: `${problem}.` }, { param });
}

/** A list of names separated by commas; undefined when there is none. */
export function namesFrom(text: string | undefined): readonly string[] | undefined {
  const names = (text ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  return names.length === 0 ? undefined : names;
}
