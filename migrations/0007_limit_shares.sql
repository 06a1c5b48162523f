-- How several processes keep one limit. Each holds a share of it and admits by that share alone; all
-- shares together, and what was spent before there were any, are never more than the limit. A share is
-- whatever the kind of limit counts: money, requests or tokens of the last minute, running requests.
--
-- The first letter of a meter says its kind: b budget, r requests/min, t tokens/min, p parallel requests.
-- These tables are about the present; nothing in them is needed once every process has ended.
create table limit_bases (
  meter    text    primary key,
  -- What the ledger had up to `position`; what a process spent beyond that is in its share.
  base     numeric not null,
  position bigint  not null,
  -- End of the budget's window; null for ever.
  ends_at  timestamptz
);

create table limit_shares (
  meter    text    not null,
  holder   uuid    not null,
  granted  numeric not null,
  -- Number of the holder's call that wrote it: one that arrives late changes nothing any more.
  turn     bigint  not null,
  -- Somebody else is short; the holder is asked to give back what it does not use.
  recalled boolean not null default false,
  -- When some of it will be free again; null when that is not known.
  frees_at timestamptz,
  primary key (meter, holder)
);
create index limit_shares_of_holder on limit_shares (holder);

-- A holder that is not heard of for ten seconds has ended or admits nothing; its running requests do not
-- count any more then, and its requests and tokens not a minute later. Its money counts until it is settled.
create function share_counts(meter text, heard_at timestamptz, ended_at timestamptz) returns boolean
language sql stable as $$
  select case left(meter, 1)
    when 'b' then true
    when 'p' then ended_at is null and heard_at > clock_timestamp() - interval '10 seconds'
    else coalesce(ended_at, heard_at + interval '10 seconds') > clock_timestamp() - interval '61 seconds'
  end
$$;

-- Changes shares of one holder, each to `kept` and what it gets beyond: at least `wanted` if there is as
-- much, and some ahead of need while there is plenty. Null wanted gives back all but `kept`. When there is
-- too little and `calls_back`, the others are asked for what they do not use; `recalls` is how many have not
-- answered yet.
-- Meters are locked in one order, so that two holders never wait for each other.
create function take_shares(
  me uuid, my_turn bigint, meters text[], keeps numeric[], wants numeric[], caps numeric[], frees_in_ms int[],
  calls_back boolean[]
) returns table (meter text, granted numeric, others numeric, recalls bigint, others_free_in_ms double precision)
language plpgsql as $$
declare
  item record;
  free numeric;
  extra numeric;
  living bigint;
begin
  select count(*) into living from gateway_processes p
  where p.ended_at is null and p.heard_at > clock_timestamp() - interval '10 seconds';
  for item in
    select u.meter, u.kept, u.wanted, u.cap, u.frees_ms, u.calls
    from unnest(meters, keeps, wants, caps, frees_in_ms, calls_back) as u(meter, kept, wanted, cap, frees_ms, calls)
    order by hashtextextended(u.meter, 0), u.meter
  loop
    perform pg_advisory_xact_lock(hashtextextended('share ' || item.meter, 0));
    select coalesce(sum(s.granted), 0) into others
    from limit_shares s left join gateway_processes p on p.id = s.holder
    where s.meter = item.meter and s.holder <> me and share_counts(s.meter, p.heard_at, p.ended_at);
    extra := 0;
    if item.wanted is not null then
      free := item.cap - others - item.kept
        - coalesce((select b.base from limit_bases b where b.meter = item.meter), 0);
      if free > 0 then
        extra := least(free, greatest(item.wanted, case when living <= 1 then free else floor(free / (2 * living)) end));
      end if;
    end if;
    insert into limit_shares as s (meter, holder, granted, turn, frees_at)
    values (item.meter, me, item.kept + extra, my_turn, clock_timestamp() + item.frees_ms * interval '1 millisecond')
    on conflict on constraint limit_shares_pkey do update
      set granted = excluded.granted, turn = excluded.turn, recalled = false, frees_at = excluded.frees_at
      where s.turn < excluded.turn;
    if not found then
      raise exception 'a later call has changed the share already' using errcode = 'P0409';
    end if;
    if item.wanted is null then
      perform pg_notify('limit_shares', '+' || item.meter);
    elsif extra < item.wanted and item.calls then
      update limit_shares s set recalled = true
      from gateway_processes p
      where s.meter = item.meter and s.holder <> me and s.granted > 0 and not s.recalled
        and p.id = s.holder and p.ended_at is null and p.heard_at > clock_timestamp() - interval '10 seconds';
      if found then
        perform pg_notify('limit_shares', '-' || me || item.meter);
      end if;
    end if;
    meter := item.meter;
    granted := item.kept + extra;
    select count(*) filter (
             where s.recalled and p.ended_at is null and p.heard_at > clock_timestamp() - interval '10 seconds'),
           extract(epoch from min(s.frees_at) filter (where s.granted > 0) - clock_timestamp()) * 1000
      into recalls, others_free_in_ms
    from limit_shares s join gateway_processes p on p.id = s.holder
    where s.meter = item.meter and s.holder <> me;
    return next;
  end loop;
end $$;
