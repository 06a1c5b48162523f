-- What was spent on days that are over, summed up once (src/http/stored-days.ts). Everything in it
-- follows from the read model spend_log and may be deleted at any time: it is then made again.
create table day_sums (
  -- Of the read model that it was summed up from.
  version        integer  not null,
  day            date     not null,
  -- UTC minus local time: a day begins at its midnight in UTC and this.
  offset_minutes smallint not null,
  -- What the parts are told apart by: user_id, project_id, tenant_id, end_user or tag.
  entity         text     not null,
  sums           jsonb    not null,
  parts          jsonb    not null,
  primary key (version, day, offset_minutes, entity)
);

-- Every row of day_sums counts all requests of its day up to this position of the log.
create table day_sums_checked (
  only_row boolean primary key default true check (only_row),
  position bigint  not null
);
insert into day_sums_checked (position) values (0);
