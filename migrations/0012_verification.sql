-- The newest verification of the log: how far it is, and its verdict. Every process answers from here.
create table verification (
  single  boolean     primary key default true check (single),
  state   jsonb       not null,
  -- Whoever is at work keeps it every few seconds; one that is not kept any more was cut off.
  kept_at timestamptz not null
);
