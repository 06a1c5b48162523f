-- The log. Appends take one lock, and positions are drawn behind it, so positions have no gaps and
-- are in commit order: whoever has seen position n has seen everything below it, and one bigint is
-- a complete checkpoint. The price is one append at a time, which is why spend is written in
-- batches (src/gateway/spend-writer.ts): the lock and the group commit are one design.
create table events (
  position       bigint      primary key,
  stream         text        not null,
  revision       bigint      not null,
  id             uuid        not null,
  type           text        not null,
  schema         smallint    not null,
  agency_id      text        not null,
  tenant_id      text,
  occurred_at    timestamptz not null,
  recorded_at    timestamptz not null,
  -- json, not jsonb: the text that was hashed is kept to the byte.
  actor          json        not null,
  correlation_id text        not null,
  causation_id   text        not null,
  command_hash   text,
  hash           text        not null,
  previous_hash  text        not null,
  data           json        not null,
  unique (stream, revision)
);

-- Nearly all of the log is spend. Readers of anything else find their events here without passing it.
create index events_without_spend on events (position) where type not like 'spend.%';

-- Events are facts: nothing changes or removes them.
create function events_are_final() returns trigger language plpgsql as $$
begin
  raise exception 'events cannot be changed or deleted' using errcode = 'P0403';
end $$;
create trigger events_are_final before update or delete or truncate on events
  for each statement execute function events_are_final();

-- Appends to one stream, in the order of the arrays, when `head_revision` (-1: none) and `head_hash`
-- are the head of the stream. The same events again are answered with their place, not written:
-- every hash covers the one before it, so the last hash speaks for all of them. `actors` and
-- `payloads` are JSON texts, one a line: as arrays they would be escaped and unescaped once more.
--
-- A function, not one statement with CTEs: a statement sees the snapshot from before it got the
-- lock and would compute revisions and positions that two writers agree on. In a function each
-- statement has a snapshot of its own; under a stricter isolation level the unique keys refuse.
--
-- An advisory lock, not a row with a counter: old versions of such a row pile up while any long
-- transaction runs. It is released after the commit has become visible.
create function append_events(
  stream_name text, head_revision bigint, head_hash text, recorded timestamptz,
  ids uuid[], types text[], schemas smallint[], agency_ids text[], tenant_ids text[], occurred_ats timestamptz[],
  actors text, correlation_ids text[], causation_ids text[], command_hashes text[], hashes text[], payloads text,
  out last_position bigint, out written_at timestamptz
) language plpgsql as $$
declare
  appended constant int := cardinality(ids);
  stream_head record;
begin
  perform pg_advisory_xact_lock(7305804402);

  select e.revision, e.hash into stream_head from events e
  where e.stream = stream_name order by e.revision desc limit 1;
  if coalesce(stream_head.revision, -1) <> head_revision
     or coalesce(stream_head.hash, repeat('0', 64)) <> head_hash then
    select e.position, e.recorded_at into last_position, written_at from events e
    where e.stream = stream_name and e.revision = head_revision + appended and e.hash = hashes[appended];
    if not found then
      raise exception 'stream_changed' using errcode = 'P0409', detail = stream_name;
    end if;
    return;
  end if;

  select coalesce(max(e.position), 0) + appended into last_position from events e;
  written_at := date_trunc('milliseconds', coalesce(recorded, clock_timestamp()));
  insert into events (position, stream, revision, id, type, schema, agency_id, tenant_id, occurred_at, recorded_at,
                      actor, correlation_id, causation_id, command_hash, hash, previous_hash, data)
  select last_position - appended + u.n, stream_name, head_revision + u.n, u.id, u.type, u.schema, u.agency_id,
         u.tenant_id, u.occurred_at, written_at, u.actor::json, u.correlation_id, u.causation_id, u.command_hash,
         u.hash, u.previous_hash, u.payload::json
  from unnest(ids, types, schemas, agency_ids, tenant_ids, occurred_ats, string_to_array(actors, E'\n'),
              correlation_ids, causation_ids, command_hashes, hashes, head_hash || hashes[:appended - 1],
              string_to_array(payloads, E'\n')) with ordinality
       as u(id, type, schema, agency_id, tenant_id, occurred_at, actor, correlation_id, causation_id,
            command_hash, hash, previous_hash, payload, n);

  perform pg_notify('event_log', last_position::text);
end $$;
