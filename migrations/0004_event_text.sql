-- Actor and payload of an event as text. They are what was hashed, made by one codec and checked by
-- it; having the database parse every payload once more was a fifth of the price of an append. Who
-- asks for a member writes data::jsonb.
alter table events alter column actor type text, alter column data type text;

create or replace function append_events(
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
         u.tenant_id, u.occurred_at, written_at, u.actor, u.correlation_id, u.causation_id, u.command_hash,
         u.hash, u.previous_hash, u.payload
  from unnest(ids, types, schemas, agency_ids, tenant_ids, occurred_ats, string_to_array(actors, E'\n'),
              correlation_ids, causation_ids, command_hashes, hashes, head_hash || hashes[:appended - 1],
              string_to_array(payloads, E'\n')) with ordinality
       as u(id, type, schema, agency_id, tenant_id, occurred_at, actor, correlation_id, causation_id,
            command_hash, hash, previous_hash, payload, n);

  perform pg_notify('event_log', last_position::text);
end $$;
