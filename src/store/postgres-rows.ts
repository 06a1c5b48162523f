import type { Encoded } from './codec.ts';
import type { Placed, StoredEvent } from './stored-event.ts';
import { includesSpend } from './tail.ts';

/** The statements on the event log, and how its rows and events become each other. */

/** How much of the log one statement looks at to find what a subscription wants. */
export const WALK_MAX = 20_000;

/** Everything is read as text and in this order, whatever parsers and zone the connection has. */
const COLUMNS = `position, stream, revision, id, type, schema, agency_id, tenant_id,
  (extract(epoch from occurred_at) * 1000)::bigint, (extract(epoch from recorded_at) * 1000)::bigint,
  actor, correlation_id, causation_id, command_hash, hash, previous_hash, data`;

export type Row = readonly (string | null)[];

export const AS_TEXT = { rowMode: 'array', types: { getTypeParser: () => String } } as const;

export interface Query {
  readonly text: string;
  /** Prepared once per connection under this name. */
  readonly name?: string;
}

export const HEAD: Query = {
  name: 'event_log_head',
  text: 'select coalesce(max(position), 0) from events',
};

/** $1 stream, $2 revision to read after, $3 most rows. */
export const STREAM: Query = {
  name: 'event_log_stream',
  text: `select ${COLUMNS} from events where stream = $1 and revision > $2 order by revision limit $3`,
};

/*
 * No statement has an upper end: before the table has statistics, a range with two ends is planned
 * as a sort of all of it, and one with a limit as a walk along an index.
 */

/** $1 position to read after, $2 most rows. */
export const LOG: Query = {
  name: 'event_log',
  text: `select ${COLUMNS} from events where position > $1 order by position limit $2`,
};

/** Like LOG, with $3 the prefixes of the types. Looks at WALK_MAX events. */
const FILTERED: Query = {
  name: 'event_log_filtered',
  text: `select ${COLUMNS} from (select * from events where position > $1 order by position limit ${WALK_MAX}) as walk
    where type ^@ any($3::text[]) order by position limit $2`,
};

/** Like FILTERED, without end, by the index that passes spend over. */
const FILTERED_WITHOUT_SPEND: Query = {
  name: 'event_log_without_spend',
  text: `select ${COLUMNS} from events
    where position > $1 and type not like 'spend.%' and type ^@ any($3::text[]) order by position limit $2`,
};

export function filtered(prefixes: readonly string[]): Query {
  return includesSpend(prefixes) ? FILTERED : FILTERED_WITHOUT_SPEND;
}

/** $1 position to read after, $2 most rows: everything but spend. */
export const WITHOUT_SPEND: Query = {
  name: 'event_log_all_but_spend',
  text: `select ${COLUMNS} from events
    where position > $1 and type not like 'spend.%' order by position limit $2`,
};

/** $1 position to look after, $2 prefixes of types: the newest of WALK_MAX events, and the newest of these types. */
export const PLACES: Query = {
  name: 'event_log_places',
  text: `select max(position), max(position) filter (where type ^@ any($2::text[])), count(*)
    from (select position, type from events where position > $1 order by position limit ${WALK_MAX}) as walk`,
};

/** The parameters of append_events for one write. */
const PARAMETERS = 16;

/** One call of append_events per write, in order, in one statement and so in one transaction. */
export function appendQuery(writes: number): Query {
  const calls = Array.from({ length: writes }, (_, i) => {
    const parameters = Array.from({ length: PARAMETERS }, (__, n) => `$${i * PARAMETERS + n + 1}`);
    return `select last_position, (extract(epoch from written_at) * 1000)::bigint
      from append_events(${parameters.join(', ')})`;
  });
  const text = calls.join(' union all ');
  return writes === 1 ? { name: 'event_log_append', text } : { text };
}

export function appendValues(encoded: readonly Encoded[], recordedAt: string | null): unknown[] {
  const events = encoded.map(({ stored }) => stored);
  const [first] = events;
  return [
    first!.stream,
    first!.revision - 1n,
    first!.previousHash,
    recordedAt,
    array(events, ({ id }) => id),
    array(events, ({ type }) => type),
    array(events, ({ schema }) => String(schema)),
    array(events, ({ agencyId }) => agencyId),
    array(events, ({ tenantId }) => tenantId),
    array(events, ({ occurredAt }) => occurredAt),
    lines(events.map((event) => event.actor)),
    array(events, ({ correlationId }) => correlationId),
    array(events, ({ causationId }) => causationId),
    array(events, ({ commandHash }) => commandHash),
    array(events, ({ hash }) => hash),
    lines(events.map((event) => event.data)),
  ];
}

/** PostgreSQL's text form of an array; the driver's own takes several times as long. */
function array(events: readonly StoredEvent[], value: (event: StoredEvent) => string | null): string {
  return `{${events.map((event) => quoted(value(event))).join(',')}}`;
}

function quoted(element: string | null): string {
  if (element === null) return 'NULL';
  return TO_ESCAPE.test(element) ? `"${element.replaceAll(TO_ESCAPE_ALL, '\\$&')}"` : `"${element}"`;
}

const TO_ESCAPE = /["\\]/;
const TO_ESCAPE_ALL = /["\\]/g;

/** JSON without white space has no line feed of its own. */
function lines(texts: readonly string[]): string {
  return texts.join('\n');
}

export function toPlaced(row: Row): Placed {
  const [position, stream, revision, id, type, schema, agencyId, tenantId, occurredMs, recordedMs] = row;
  const [actor, correlationId, causationId, commandHash, hash, previousHash, data] = row.slice(10);
  return {
    position: BigInt(position!),
    stream: stream!,
    revision: BigInt(revision!),
    id: id!,
    type: type!,
    schema: Number(schema),
    agencyId: agencyId!,
    tenantId: tenantId!,
    occurredAt: instant(occurredMs!),
    recordedAt: instant(recordedMs!),
    actor: actor!,
    correlationId: correlationId!,
    causationId: causationId!,
    commandHash: commandHash!,
    hash: hash!,
    previousHash: previousHash!,
    data: data!,
  };
}

export function instant(milliseconds: string): string {
  return new Date(Number(milliseconds)).toISOString();
}
