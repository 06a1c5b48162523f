-- The processes that serve over this database, each with the id under which it writes spend. A process
-- says every second that it lives, by the clock of the database, so that no two clocks are compared.
create table gateway_processes (
  id          uuid        primary key,
  -- The first eight digits of the id, with which the ids of its requests begin.
  tag         text        not null unique,
  heard_at    timestamptz not null default clock_timestamp(),
  -- Whether what it uses of limits is counted in shares. The only process there is counts for itself.
  sharing     boolean     not null,
  -- When it ended, in order or as found out by whoever watches it.
  ended_at    timestamptz,
  -- All that it had recorded is in the log, up to here at most; null while its spool may hold more.
  drained_to  bigint,
  -- What its shares had promised has been replaced by what it really used.
  settled     boolean     not null default false
);
