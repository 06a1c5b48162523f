-- What documents look like. A brand is named by the hash of its content, which the documents that
-- wear it hold; a new version is a new row.
create table brands (
  hash       text        primary key,
  agency_id  text        not null,
  version    integer     not null check (version > 0),
  -- Canonical JSON; text, so that the bytes that were hashed stay as they are.
  data       text        not null,
  created_at timestamptz not null default clock_timestamp(),
  unique (agency_id, version)
);

-- The evidence behind reverse charge: which VAT id was asked about, what was answered, and when.
-- The vat-id.checked event holds its hash.
create table vat_checks (
  check_id   text        primary key,
  tenant_id  text        not null,
  -- Canonical JSON.
  evidence   text        not null,
  hash       text        not null,
  created_at timestamptz not null default clock_timestamp()
);
create index vat_checks_of_tenant on vat_checks (tenant_id, created_at);

create function billing_records_are_final() returns trigger language plpgsql as $$
begin
  raise exception '% cannot be changed or deleted', tg_table_name using errcode = 'P0403';
end $$;
create trigger brands_are_final before update or delete or truncate on brands
  for each statement execute function billing_records_are_final();
create trigger vat_checks_are_final before update or delete or truncate on vat_checks
  for each statement execute function billing_records_are_final();
