-- Who is signed in to the console. Of the token in the cookie only the SHA-256 is here. None of this
-- is history: a session that has ended is deleted.
create table sessions (
  token_hash text        primary key,
  user_id    text        not null,
  -- Of the administrator's own: which password it was opened with, as a keyed hash, so that a new
  -- password ends it. Null for users, whose sessions end with a change of their password.
  opened_with text,
  created_at timestamptz not null,
  expires_at timestamptz not null
);
create index sessions_of_user on sessions (user_id);
create index sessions_by_expiry on sessions (expires_at);

-- scrypt, as `scrypt$<log2 N>$<r>$<p>$<salt>$<hash>` in base64url.
create table passwords (
  user_id    text        primary key,
  hash       text        not null,
  changed_at timestamptz not null
);
