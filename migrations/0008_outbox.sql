-- What has to be done outside this system because of what is in the log: collect an invoice, send a
-- mail. Rows are only added; what was asked for never changes, and what became of it is noted beside it.
create table outbox_tasks (
  task_id    text        primary key,
  kind       text        not null,
  agency_id  text        not null,
  tenant_id  text        not null,
  invoice_id text        not null,
  -- What the kind needs beside that, such as the level of a reminder.
  detail     text,
  -- Of the event that asked for it.
  position   bigint      not null,
  status     text        not null default 'waiting'
             check (status in ('waiting', 'done', 'skipped', 'stopped')),
  -- Attempts that failed since it was asked for, or since somebody had it tried again.
  attempts   integer     not null default 0,
  due_at     timestamptz not null,
  -- What came of it, or why the newest attempt failed.
  note       text,
  created_at timestamptz not null,
  ended_at   timestamptz
);
create index outbox_tasks_waiting on outbox_tasks (due_at) where status = 'waiting';
create index outbox_tasks_of_invoice on outbox_tasks (invoice_id);

create function outbox_tasks_are_kept() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' and (new.task_id, new.kind, new.agency_id, new.tenant_id, new.invoice_id, new.position)
     = (old.task_id, old.kind, old.agency_id, old.tenant_id, old.invoice_id, old.position) then
    return new;
  end if;
  raise exception 'tasks of the outbox are kept as they were asked for' using errcode = 'P0403';
end $$;
create trigger outbox_tasks_are_kept before update or delete on outbox_tasks
  for each row execute function outbox_tasks_are_kept();

-- Up to where the log has been read for tasks. It begins at the head: what was in the log before the
-- outbox was there, or was moved here from elsewhere, is not sent out again.
create table outbox_checkpoint (
  single   boolean primary key default true check (single),
  position bigint  not null
);

-- Steps at a payment provider that were begun, and their results: what makes a step that was
-- interrupted anywhere one step.
create table provider_steps (
  step_key   text        primary key,
  -- Of the newest idempotency key. Its first request was sent after this was written.
  begun_at   timestamptz not null,
  -- Counts idempotency keys; a new one is only used after looking for the result of the old one.
  generation integer     not null,
  -- True when the key can only ever repeat a failure.
  spoilt     boolean     not null default false,
  result     jsonb
);
