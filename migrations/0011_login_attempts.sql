-- Attempts to sign in that failed, or have not been answered yet, counted for all processes together.
-- Whoever is behind a count is here as a keyed hash alone: people type passwords into the wrong field.
create table login_attempts (
  id       text        primary key,
  failures integer     not null,
  -- The window began with the first of them.
  began_at timestamptz not null
);
create index login_attempts_by_age on login_attempts (began_at);
