-- Names and addresses. Events refer to a version of a record by subject and number and never hold
-- the data itself, so that what the law wants forgotten can be forgotten.
create table contacts (
  subject_id text        not null,
  version    integer     not null check (version > 0),
  data       jsonb       not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (subject_id, version)
);

-- Names of projects, for screens and invoices.
create table project_names (
  project_id text primary key,
  name       text not null
);

-- Finalised invoices as they were issued. The invoice.finalized event holds the hash.
create table invoice_documents (
  invoice_id text        primary key,
  number     text        not null,
  agency_id  text        not null,
  tenant_id  text        not null,
  -- Canonical JSON; text, so that the bytes that were hashed stay as they are.
  document   text        not null,
  hash       text        not null,
  created_at timestamptz not null default clock_timestamp(),
  unique (agency_id, number)
);

create function invoice_documents_are_final() returns trigger language plpgsql as $$
begin
  raise exception 'invoice documents cannot be changed or deleted' using errcode = 'P0403';
end $$;
create trigger invoice_documents_are_final before update or delete or truncate on invoice_documents
  for each statement execute function invoice_documents_are_final();

-- Where each projection stands. The row lock on a projection is what serialises its writers.
create table projections (
  name       text        primary key,
  version    integer     not null,
  -- The table that the view of this name shows.
  table_name text        not null,
  -- The log has been applied up to here.
  position   bigint      not null,
  error      text,
  updated_at timestamptz not null default clock_timestamp()
);
