import { type RawBuilder, sql, type Transaction } from 'kysely';
import { spendLog } from '../../projections/spend-log.ts';
import { type DaySums, type Entity, partsIn, type PartSums, sumsByDay } from './day-sums.ts';
import type { HttpDeps } from './deps.ts';
import type { Db, Tables } from './read.ts';
import { inRange, type SpendRange } from './spend-scope.ts';

/**
 * Days that are over do not change: what everybody together spent on them is summed up once and kept,
 * so that a report over months reads a row per day. A request that is recorded late (a spool that was
 * found again) takes back what was kept of its day and of those after it.
 */
export interface StoredDay extends DaySums {
  readonly parts: readonly PartSums[];
}

/** A day is over this long after its last moment: until then most of what was admitted in it is recorded. */
const OVER_AFTER_MS = 3_600_000;
const DAY_MS = 86_400_000;
const VERSION = spendLog.version;

/** From which instant on days of the offset are not over yet. */
export function openSince(now: string, offsetMinutes: number): string {
  const shift = offsetMinutes * 60_000;
  const local = Date.parse(now) - OVER_AFTER_MS - shift;
  return new Date(Math.floor(local / DAY_MS) * DAY_MS + shift).toISOString();
}

/** Days with requests of this range of whole days that are over, newest first; sums up what is not kept yet. */
export async function storedDays(
  db: Db,
  { from, until }: SpendRange,
  entity: Entity,
  offsetMinutes: number,
): Promise<readonly StoredDay[]> {
  await takeBackLate(db);
  const shift = offsetMinutes * 60_000;
  const wanted: string[] = [];
  for (let ms = Date.parse(from) - shift; ms < Date.parse(until) - shift; ms += DAY_MS)
    wanted.push(new Date(ms).toISOString().slice(0, 10));
  const { rows } = await sql<Row>`
    select day, sums, parts from day_sums
    where version = ${VERSION} and offset_minutes = ${offsetMinutes} and entity = ${entity} and day = any(${wanted}::date[])`.execute(
    db,
  );
  const found = new Map(rows.map((row) => [row.day, row]));
  for (const day of wanted) if (!found.has(day)) found.set(day, await sumUp(db, day, entity, offsetMinutes));
  return wanted
    .toReversed()
    .map((day) => found.get(day)!)
    .flatMap(({ day, sums, parts }) =>
      sums === null
        ? []
        : [{ ...sumsFrom(sums), day, parts: parts.map((part) => ({ ...part, ...sumsFrom(part), day })) }],
    );
}

/** Numbers are texts in JSON, so that none of them loses a digit. */
type StoredSums = { readonly [N in Exclude<keyof DaySums, 'day'>]: string };
type StoredPart = StoredSums & Pick<PartSums, 'kind' | 'name'>;
interface Row {
  readonly day: string;
  /** JSON null for a day without requests. */
  readonly sums: StoredSums | null;
  readonly parts: readonly StoredPart[];
}

function sumsFrom({ requests, successes, input, output, cached, nanos }: StoredSums): Omit<DaySums, 'day'> {
  return {
    requests: BigInt(requests),
    successes: BigInt(successes),
    input: BigInt(input),
    output: BigInt(output),
    cached: BigInt(cached),
    nanos: BigInt(nanos),
  };
}

function textsOf({ requests, successes, input, output, cached, nanos }: Omit<DaySums, 'day'>): StoredSums {
  return {
    requests: String(requests),
    successes: String(successes),
    input: String(input),
    output: String(output),
    cached: String(cached),
    nanos: String(nanos),
  };
}

/** Sums up one day as of one moment of the log, and keeps it unless that moment is over already. */
async function sumUp(db: Db, day: string, entity: Entity, offsetMinutes: number): Promise<Row> {
  const from = Date.parse(`${day}T00:00:00Z`) + offsetMinutes * 60_000;
  const range = { from: new Date(from).toISOString(), until: new Date(from + DAY_MS).toISOString() };
  const where = sql<boolean>`${ofEntity(entity)} and ${inRange(range)}`;
  const { row, position } = await db
    .transaction()
    .setIsolationLevel('repeatable read')
    .execute(async (moment) => {
      const seen = await sql<{ position: bigint }>`
        select coalesce(max(position), 0)::bigint as position from spend_log`.execute(moment);
      const [sums] = await sumsByDay(moment, where, offsetMinutes);
      const parts = sums === undefined ? [] : await partsIn(moment, where, entity, offsetMinutes);
      const row: Row = {
        day,
        sums: sums === undefined ? null : textsOf(sums),
        parts: parts.map((part) => ({ kind: part.kind, name: part.name, ...textsOf(part) })),
      };
      return { row, position: seen.rows[0]!.position };
    });
  await sql`
    insert into day_sums (version, day, offset_minutes, entity, sums, parts)
    select ${VERSION}, ${day}::date, ${offsetMinutes}, ${entity}, ${JSON.stringify(row.sums)}::jsonb, ${JSON.stringify(row.parts)}::jsonb
    from day_sums_checked where position <= ${position} for share
    on conflict (version, day, offset_minutes, entity) do update set sums = excluded.sums, parts = excluded.parts`.execute(
    db,
  );
  return row;
}

/** The requests that a family of reports is about: those of nobody of its kind are none of it. */
export function ofEntity(entity: Entity): RawBuilder<boolean> {
  if (entity === 'tag') return sql`cardinality(s.tags) > 0`;
  return entity === 'user_id' ? sql`true` : sql`s.${sql.ref(entity)} is not null`;
}

async function takeBackLate(db: Db): Promise<void> {
  const news = await sql<{ some: boolean }>`
    select coalesce((select max(position) from spend_log), 0) > position as some from day_sums_checked`.execute(
    db,
  );
  if (!news.rows[0]!.some) return;
  await db.transaction().execute(async (writing: Transaction<Tables>) => {
    const { rows } = await sql<{ position: bigint }>`
      select position from day_sums_checked for update`.execute(writing);
    const late = await sql<{ oldest: string | null; newest: bigint | null }>`
      select min(admitted_at) as oldest, max(position)::bigint as newest from spend_log
      where position > ${rows[0]!.position}`.execute(writing);
    const { oldest, newest } = late.rows[0]!;
    if (oldest === null) return;
    await sql`
      delete from day_sums
      where (day + 1)::timestamp at time zone 'UTC' + make_interval(mins => offset_minutes::int) > ${oldest}::timestamptz`.execute(
      writing,
    );
    await sql`update day_sums_checked set position = ${newest}`.execute(writing);
  });
}

const ENTITIES: readonly Entity[] = ['user_id', 'project_id', 'tenant_id', 'end_user', 'tag'];
/** How far back days are summed up before anybody asks. */
const DAYS_AHEAD = 31;

/** Sums up the days of the last month that are over and not kept yet. */
export async function sumUpDays({ db, now }: Pick<HttpDeps, 'db' | 'now'>): Promise<void> {
  const until = openSince(now(), 0);
  const from = new Date(Date.parse(until) - DAYS_AHEAD * DAY_MS).toISOString();
  for (const entity of ENTITIES) await storedDays(db, { from, until }, entity, 0);
}

const ROUND_MS = 600_000;

/** Does it every ten minutes, in one process at a time. `stop` waits for a round under way. */
export function startDaySums(deps: HttpDeps): { readonly stop: () => Promise<void> } {
  let round: Promise<unknown> = Promise.resolve();
  let stopped = false;
  const timer = setInterval(() => {
    round = round
      .then(() => (stopped ? undefined : deps.claimName('day sums', () => sumUpDays(deps))))
      .catch((error: unknown) => deps.log.error({ err: error }, 'days could not be summed up'));
  }, ROUND_MS);
  return {
    async stop() {
      stopped = true;
      clearInterval(timer);
      await round;
    },
  };
}
