-- How a share is asked for (see the migration of limit_shares), with two things more to say. `least` is what the
-- smallest of the waiting requests needs: less than that is of no use to anybody and stays where it is, or two who
-- each need all that is left would each get a part. And `gives`: this call gives back what is not in use. Only such a call answers those who are short; any other leaves them waiting, for
-- what its holder keeps may be unused. And while somebody is short nobody takes anything ahead of need, so that
-- what is given back goes where it is needed, to the last piece.
create function take_shares(
  me uuid, my_turn bigint, meters text[], keeps numeric[], wants numeric[], caps numeric[], frees_in_ms int[],
  calls_back boolean[], gives_back boolean[], leasts numeric[]
) returns table (meter text, granted numeric, others numeric, recalls bigint, others_free_in_ms double precision)
language plpgsql as $$
declare
  item record;
  free numeric;
  extra numeric;
  living bigint;
  is_called boolean;
begin
  select count(*) into living from gateway_processes p
  where p.ended_at is null and p.heard_at > clock_timestamp() - interval '10 seconds';
  for item in
    select u.meter, u.kept, u.wanted, u.cap, u.frees_ms, u.calls, u.gives, u.least
    from unnest(meters, keeps, wants, caps, frees_in_ms, calls_back, gives_back, leasts)
      as u(meter, kept, wanted, cap, frees_ms, calls, gives, least)
    order by hashtextextended(u.meter, 0), u.meter
  loop
    perform pg_advisory_xact_lock(hashtextextended('share ' || item.meter, 0));
    select coalesce(bool_or(s.recalled), false) into is_called
    from limit_shares s where s.meter = item.meter and s.holder = me;
    select coalesce(sum(s.granted), 0) into others
    from limit_shares s left join gateway_processes p on p.id = s.holder
    where s.meter = item.meter and s.holder <> me and share_counts(s.meter, p.heard_at, p.ended_at);
    extra := 0;
    if item.wanted is not null then
      free := item.cap - others - item.kept
        - coalesce((select b.base from limit_bases b where b.meter = item.meter), 0);
      if free > 0 and free >= item.least then
        extra := least(free, greatest(item.wanted, case
          when living <= 1 then free
          when is_called then 0
          else floor(free / (2 * living))
        end));
      end if;
    end if;
    insert into limit_shares as s (meter, holder, granted, turn, frees_at)
    values (item.meter, me, item.kept + extra, my_turn, clock_timestamp() + item.frees_ms * interval '1 millisecond')
    on conflict on constraint limit_shares_pkey do update
      set granted = excluded.granted, turn = excluded.turn, frees_at = excluded.frees_at,
          recalled = s.recalled and not item.gives
      where s.turn < excluded.turn;
    if not found then
      raise exception 'a later call has changed the share already' using errcode = 'P0409';
    end if;
    if item.gives then
      perform pg_notify('limit_shares', '+' || item.meter);
    end if;
    if item.wanted is not null and extra < item.wanted and item.calls then
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
