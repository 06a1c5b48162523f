-- The log. The lock on the one row of event_log_head makes positions gapless and in commit order:
-- whoever has seen position n has seen everything below it, so one bigint is a complete checkpoint.
-- The price is one append at a time, which is why spend is written in batches
-- (src/gateway/spend-writer.ts): the lock and the group commit are one design.
create table event_log_head (
  only_row boolean primary key default true check (only_row),
  position bigint not null
);
insert into event_log_head (position) values (0);

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
  recorded_at    timestamptz not null default clock_timestamp(),
  actor          json        not null,
  correlation_id text        not null,
  causation_id   text        not null,
  command_hash   text,
  hash           text        not null,
  previous_hash  text        not null,
  -- json, not jsonb: the text that was hashed is kept to the byte.
  data           json        not null,
  unique (stream, revision)
);
create index events_tenant on events (tenant_id, position) where tenant_id is not null;

-- Events are facts: nothing changes or removes them.
create function events_are_final() returns trigger language plpgsql as $$
begin
  raise exception 'events cannot be changed or deleted' using errcode = 'P0403';
end $$;
create trigger events_are_final before update or delete or truncate on events
  for each statement execute function events_are_final();

-- Appends events given as parallel arrays, in order; returns the position of the last one.
-- A stream's first event in the call must follow the stream's head: revision and hash are compared.
-- The same ids at the same revisions again are answered with their positions, as if just written.
-- A function, not one statement with CTEs: a statement sees the snapshot from before it got the
-- lock and would compute revisions two writers agree on.
create function append_events(
  streams text[], revisions bigint[], ids uuid[], types text[], schemas smallint[], agency_ids text[],
  tenant_ids text[], occurred_ats timestamptz[], actors json[], correlation_ids text[],
  causation_ids text[], command_hashes text[], hashes text[], previous_hashes text[], payloads json[]
) returns bigint language plpgsql as $$
declare
  appended constant bigint := cardinality(ids);
  head bigint;
  first_of record;
  last record;
  known bigint;
  known_at bigint;
begin
  update event_log_head set position = position + appended returning position into head;

  select count(*), max(e.position) into known, known_at
  from unnest(streams, revisions, ids) as u(stream, revision, id)
  join events e on e.stream = u.stream and e.revision = u.revision and e.id = u.id;
  if known = appended then
    update event_log_head set position = position - appended;
    return known_at;
  end if;

  for first_of in
    select distinct on (u.stream) u.stream, u.revision, u.previous_hash
    from unnest(streams, revisions, previous_hashes) as u(stream, revision, previous_hash)
    order by u.stream, u.revision
  loop
    select e.revision, e.hash into last from events e
    where e.stream = first_of.stream order by e.revision desc limit 1;
    if coalesce(last.revision, -1) <> first_of.revision - 1
       or coalesce(last.hash, repeat('0', 64)) <> first_of.previous_hash then
      raise exception 'stream_changed' using errcode = 'P0409', detail = first_of.stream;
    end if;
  end loop;

  insert into events (position, stream, revision, id, type, schema, agency_id, tenant_id, occurred_at,
                      actor, correlation_id, causation_id, command_hash, hash, previous_hash, data)
  select head - appended + u.n, u.stream, u.revision, u.id, u.type, u.schema, u.agency_id, u.tenant_id,
         u.occurred_at, u.actor, u.correlation_id, u.causation_id, u.command_hash, u.hash, u.previous_hash, u.payload
  from unnest(streams, revisions, ids, types, schemas, agency_ids, tenant_ids, occurred_ats, actors,
              correlation_ids, causation_ids, command_hashes, hashes, previous_hashes, payloads) with ordinality
       as u(stream, revision, id, type, schema, agency_id, tenant_id, occurred_at, actor,
            correlation_id, causation_id, command_hash, hash, previous_hash, payload, n);

  perform pg_notify('event_log', head::text);
  return head;
end $$;
