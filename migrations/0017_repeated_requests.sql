-- Writes that came with an Idempotency-Key, for a day: what was asked, as a keyed hash, and how it was
-- answered, sealed. Answers that show a secret are not kept; their routes make the same one again.
create table repeated_requests (
  -- Who sent which key, as a keyed hash.
  id          text        primary key,
  fingerprint text        not null,
  -- Null until it was answered, and where the answer shows a secret.
  answer      text,
  asked_at    timestamptz not null
);
create index repeated_requests_by_age on repeated_requests (asked_at);
