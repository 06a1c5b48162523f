import { type RawBuilder, sql } from 'kysely';
import { z } from 'zod';
import { nanosToNumber } from '../domain/money.ts';
import type { Db } from './read.ts';
import type { SpendRange } from './spend-scope.ts';
import { PROVIDER, SUCCEEDED } from './spend-view.ts';

/**
 * What was spent on each day, and on what. It is summed up from the log of requests when somebody
 * asks: a table of sums by day, key and model would have to follow every request, and the indexes by
 * tenant and by key find the requests of a period as well. What everybody together spent on days that
 * are over is kept (stored-days.ts).
 */

const Metrics = z
  .object({
    spend: z.number(),
    prompt_tokens: z.number(),
    completion_tokens: z.number(),
    cache_read_input_tokens: z.number(),
    cache_creation_input_tokens: z.number().describe('Always 0: a part of prompt_tokens'),
    total_tokens: z.number(),
    successful_requests: z.number(),
    failed_requests: z.number(),
    api_requests: z.number(),
  })
  .meta({ id: 'SpendMetrics' });
export type Metrics = z.output<typeof Metrics>;

const Part = z.object({ metrics: Metrics, metadata: z.record(z.string(), z.string().nullable()) });
const Parts = z.record(z.string(), Part);
export const Day = z
  .object({
    date: z.string(),
    metrics: Metrics,
    breakdown: z.object({
      models: Parts,
      model_groups: Parts,
      providers: Parts,
      endpoints: Parts,
      mcp_servers: Parts,
      api_keys: Parts,
      entities: Parts,
    }),
  })
  .meta({ id: 'SpendDay' });
export type Day = z.output<typeof Day>;

/** Of each kind of part the dearest so many are shown for a day. */
export const PARTS_MAX = 200;

/** Whom a family of reports is about: a column of `spend_log s`, or its tags. */
export type Entity = 'user_id' | 'project_id' | 'tenant_id' | 'end_user' | 'tag';

export interface Sums {
  readonly requests: bigint;
  readonly successes: bigint;
  readonly input: bigint;
  readonly output: bigint;
  readonly cached: bigint;
  readonly nanos: bigint;
}
const SUMS = sql`count(*) as requests, count(*) filter (where s.outcome = any(${SUCCEEDED})) as successes,
  coalesce(sum(s.input_tokens), 0) as input, coalesce(sum(s.output_tokens), 0) as output,
  coalesce(sum(s.cached_input_tokens), 0) as cached, coalesce(sum(s.price_nanos), 0) as nanos`;

export function metricsOf({ requests, successes, input, output, cached, nanos }: Sums): Metrics {
  return {
    spend: nanosToNumber(nanos),
    prompt_tokens: Number(input),
    completion_tokens: Number(output),
    cache_read_input_tokens: Number(cached),
    cache_creation_input_tokens: 0,
    total_tokens: Number(input + output),
    successful_requests: Number(successes),
    failed_requests: Number(requests - successes),
    api_requests: Number(requests),
  };
}

const NO_SUMS: Sums = { requests: 0n, successes: 0n, input: 0n, output: 0n, cached: 0n, nanos: 0n };

export function together(all: readonly Sums[]): Sums {
  return all.reduce(
    (sum, one) => ({
      requests: sum.requests + one.requests,
      successes: sum.successes + one.successes,
      input: sum.input + one.input,
      output: sum.output + one.output,
      cached: sum.cached + one.cached,
      nanos: sum.nanos + one.nanos,
    }),
    NO_SUMS,
  );
}

/** The day of a request; `offsetMinutes` is UTC minus local time. */
function dayOf(offsetMinutes: number): RawBuilder<string> {
  const utc = sql<string>`(s.admitted_at at time zone 'UTC')`;
  return offsetMinutes === 0
    ? sql`${utc}::date`
    : sql`(${utc} - make_interval(mins => ${offsetMinutes}::int))::date`;
}

export interface DaySums extends Sums {
  /** YYYY-MM-DD. */
  readonly day: string;
}

/** Days with requests, newest first. */
export async function sumsByDay(
  db: Db,
  where: RawBuilder<boolean>,
  offsetMinutes = 0,
): Promise<readonly DaySums[]> {
  const { rows } = await sql<DaySums>`
    select ${dayOf(offsetMinutes)} as day, ${SUMS} from spend_log s where ${where}
    group by 1 order by 1 desc`.execute(db);
  return rows;
}

export interface PartSums extends DaySums {
  readonly kind: 'model' | 'route' | 'key' | 'entity';
  readonly name: string;
}

/** These days with what they consist of. `where` holds for their requests only. */
export async function withParts(
  db: Db,
  days: readonly DaySums[],
  where: RawBuilder<boolean>,
  entity: Entity,
  offsetMinutes = 0,
): Promise<Day[]> {
  if (days.length === 0) return [];
  const all = await db.transaction().execute((reading) => partsIn(reading, where, entity, offsetMinutes));
  return await daysOf(db, days, all, entity);
}

/** What these requests consist of; in a transaction. */
export async function partsIn(
  reading: Db,
  where: RawBuilder<boolean>,
  entity: Entity,
  offsetMinutes: number,
): Promise<readonly PartSums[]> {
  // What is grouped stays in memory instead of going through files; it is given back at the end.
  await sql`set local work_mem = '64MB'`.execute(reading);
  const parts = await partsOf(reading, where, offsetMinutes);
  return [...parts, ...(await entitiesOf(reading, where, entity, offsetMinutes))];
}

/** The days as they are shown, with the names that belong to the ids in their parts. */
export async function daysOf(
  db: Db,
  days: readonly DaySums[],
  all: readonly PartSums[],
  entity: Entity,
): Promise<Day[]> {
  const names = await namesOf(db, all, entity);
  const byDay = new Map(days.map(({ day }) => [day, [] as PartSums[]]));
  for (const part of all) byDay.get(part.day)?.push(part);
  return days.map((sums) => dayAnswer(sums, byDay.get(sums.day)!, names));
}

async function partsOf(
  db: Db,
  where: RawBuilder<boolean>,
  offsetMinutes: number,
): Promise<readonly PartSums[]> {
  const { rows } = await sql<PartSums>`
    select day, kind, name, requests, successes, input, output, cached, nanos from (
      select *, row_number() over (partition by day, kind order by nanos desc, name) as place from (
        select day, coalesce(model, route, key_id) as name,
          case when model is not null then 'model' when route is not null then 'route' else 'key' end as kind,
          ${SUMS}
        from (select ${dayOf(offsetMinutes)} as day, s.* from spend_log s where ${where}) s
        group by grouping sets ((day, model), (day, route), (day, key_id))) sums) placed
    where place <= ${PARTS_MAX} order by day, kind, place`.execute(db);
  return rows;
}

async function entitiesOf(
  db: Db,
  where: RawBuilder<boolean>,
  entity: Entity,
  offsetMinutes: number,
): Promise<readonly PartSums[]> {
  const name = entity === 'tag' ? sql`tag` : sql`s.${sql.ref(entity)}`;
  // A request with a tag twice counts once under it.
  const tags =
    entity === 'tag' ? sql`cross join lateral (select distinct unnest(s.tags) as tag) tags` : sql``;
  const { rows } = await sql<PartSums>`
    select day, 'entity' as kind, name, requests, successes, input, output, cached, nanos from (
      select *, row_number() over (partition by day order by nanos desc, name) as place from (
        select ${dayOf(offsetMinutes)} as day, ${name} as name, ${SUMS}
        from spend_log s ${tags} where ${where} and ${name} is not null group by 1, 2) sums) placed
    where place <= ${PARTS_MAX} order by day, place`.execute(db);
  return rows;
}

interface Names {
  readonly keys: ReadonlyMap<
    string,
    { readonly token: string; readonly metadata: Record<string, string | null> }
  >;
  readonly entities: ReadonlyMap<string, Record<string, string | null>>;
}

async function namesOf(db: Db, parts: readonly PartSums[], entity: Entity): Promise<Names> {
  const named = (kind: PartSums['kind']) => [
    ...new Set(parts.filter((part) => part.kind === kind).map(({ name }) => name)),
  ];
  const [keys, teams] = await Promise.all([
    db
      .selectFrom('keys')
      .select(['key_id', 'token_hash', 'alias', 'project_id'])
      .where(sql<boolean>`key_id = any(${named('key')})`)
      .execute(),
    entity === 'project_id'
      ? db
          .selectFrom('project_names')
          .select(['project_id', 'name'])
          .where(sql<boolean>`project_id = any(${named('entity')})`)
          .execute()
      : [],
  ]);
  return {
    keys: new Map(
      keys.map(({ key_id, token_hash: token, alias, project_id }) => [
        key_id,
        { token, metadata: { key_alias: alias, team_id: project_id } },
      ]),
    ),
    entities: new Map(teams.map(({ project_id, name }) => [project_id, { team_alias: name }])),
  };
}

function dayAnswer(sums: DaySums, parts: readonly PartSums[], names: Names): Day {
  const entries = (kind: PartSums['kind']): Day['breakdown']['models'] => {
    const found: Day['breakdown']['models'] = {};
    for (const part of parts) {
      if (part.kind !== kind) continue;
      const key = kind === 'key' ? names.keys.get(part.name) : undefined;
      const metadata = key?.metadata ?? (kind === 'entity' ? names.entities.get(part.name) : undefined) ?? {};
      found[key?.token ?? part.name] = { metrics: metricsOf(part), metadata };
    }
    return found;
  };
  const models = entries('model');
  return {
    date: sums.day,
    metrics: metricsOf(sums),
    breakdown: {
      models,
      model_groups: models,
      providers: { [PROVIDER]: { metrics: metricsOf(sums), metadata: {} } },
      endpoints: entries('route'),
      mcp_servers: {},
      api_keys: entries('key'),
      entities: entries('entity'),
    },
  };
}

/** From the first moment of the oldest of these days to the last of the newest. */
export function spanOf(days: readonly DaySums[], offsetMinutes: number): SpendRange {
  const midnight = (day: string) => Date.parse(`${day}T00:00:00Z`) + offsetMinutes * 60_000;
  const [newest, oldest] = [days[0]!.day, days.at(-1)!.day];
  return {
    from: new Date(midnight(oldest)).toISOString(),
    until: new Date(midnight(newest) + 86_400_000).toISOString(),
  };
}
