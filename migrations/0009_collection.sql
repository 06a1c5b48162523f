-- Secrets of agencies, sealed (src/sealed-text.ts): those of its payment provider.
create table agency_secrets (
  agency_id  text        not null,
  name       text        not null,
  sealed     text        not null,
  updated_at timestamptz not null,
  primary key (agency_id, name)
);

-- What the payment provider has told and what came of it. It tells at least once, in any order.
create table provider_events (
  agency_id   text        not null,
  event_id    text        not null,
  type        text        not null,
  outcome     text        not null,
  received_at timestamptz not null,
  primary key (agency_id, event_id)
);

-- Where an invoice can be paid. Such an address is a key to the invoice, and it changes; hence not an event.
create table payment_links (
  invoice_id text        primary key,
  url        text        not null,
  updated_at timestamptz not null
);

-- Invoice runs that came by themselves: one row per agency and month.
create table scheduled_runs (
  agency_id  text        not null,
  period     text        not null,
  attempts   integer     not null,
  -- When it is tried again; null when every tenant is through.
  next_at    timestamptz,
  -- The newest report, or why there is none.
  report     jsonb,
  problem    text,
  started_at timestamptz not null,
  ended_at   timestamptz,
  primary key (agency_id, period)
);
