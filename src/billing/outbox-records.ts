import type { Pool, PoolClient } from 'pg';
import { inTransaction } from '../connections.ts';
import { Refusal } from '../errors.ts';
import type { NewTask, TaskKind } from './outbox-tasks.ts';

/** The tasks of the outbox as the database keeps them. */
export interface Task extends NewTask {
  readonly status: 'waiting' | 'done' | 'skipped' | 'stopped';
  /** Attempts that failed. */
  readonly attempts: number;
  readonly dueAt: string;
  readonly note: string | null;
  readonly createdAt: string;
  readonly endedAt: string | null;
}

export interface OutboxFacts {
  readonly waiting: number;
  /** Of those, how many have failed at least once. */
  readonly failing: number;
  /** Somebody has to look at these. */
  readonly stopped: number;
  /** Instant at which the longest waiting one was asked for; null when none waits. */
  readonly oldestAt: string | null;
}

export const NO_OUTBOX_FACTS: OutboxFacts = { waiting: 0, failing: 0, stopped: 0, oldestAt: null };

/** Where the log has been read to; `head` when it has never been read. */
export async function outboxCheckpoint(pool: Pool, head: bigint): Promise<bigint> {
  await pool.query('insert into outbox_checkpoint (position) values ($1) on conflict do nothing', [head]);
  const { rows } = await pool.query<{ position: bigint }>('select position from outbox_checkpoint');
  return rows[0]!.position;
}

/** Keeps tasks and place in one transaction; tasks that are known stay as they are. */
export async function keepTasks(
  pool: Pool,
  tasks: readonly NewTask[],
  position: bigint,
  at: string,
): Promise<void> {
  await inTransaction(pool, async (client) => {
    for (const task of tasks) await keepTask(client, task, at);
    await client.query('update outbox_checkpoint set position = greatest(position, $1)', [position]);
  });
}

/** False when it was known. */
export async function keepTask(client: Pool | PoolClient, task: NewTask, at: string): Promise<boolean> {
  const { taskId, kind, agencyId, tenantId, invoiceId, detail, position } = task;
  const { rowCount } = await client.query(
    `insert into outbox_tasks (task_id, kind, agency_id, tenant_id, invoice_id, detail, position, due_at, created_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $8) on conflict do nothing`,
    [taskId, kind, agencyId, tenantId, invoiceId, detail, position, at],
  );
  return rowCount === 1;
}

interface TaskRow {
  readonly task_id: string;
  readonly kind: TaskKind;
  readonly agency_id: string;
  readonly tenant_id: string;
  readonly invoice_id: string;
  readonly detail: string | null;
  readonly position: bigint;
  readonly status: Task['status'];
  readonly attempts: number;
  readonly due_at: string;
  readonly note: string | null;
  readonly created_at: string;
  readonly ended_at: string | null;
}

function taskOf(row: TaskRow): Task {
  return {
    taskId: row.task_id,
    kind: row.kind,
    agencyId: row.agency_id,
    tenantId: row.tenant_id,
    invoiceId: row.invoice_id,
    detail: row.detail,
    position: row.position,
    status: row.status,
    attempts: row.attempts,
    dueAt: row.due_at,
    note: row.note,
    createdAt: row.created_at,
    endedAt: row.ended_at,
  };
}

/** In the order in which they were asked for. */
export async function dueTasks(pool: Pool, now: string, countMax: number): Promise<readonly Task[]> {
  const { rows } = await pool.query<TaskRow>(
    `select * from outbox_tasks where status = 'waiting' and due_at <= $1
     order by position, task_id limit $2`,
    [now, countMax],
  );
  return rows.map(taskOf);
}

export async function tasksOfInvoice(pool: Pool, invoiceId: string): Promise<readonly Task[]> {
  const { rows } = await pool.query<TaskRow>(
    'select * from outbox_tasks where invoice_id = $1 order by position, task_id',
    [invoiceId],
  );
  return rows.map(taskOf);
}

/** Newest first, after a place in that order; null for the newest of all. */
export async function listTasks(
  pool: Pool,
  filter: {
    readonly status: string | null;
    readonly after: { readonly position: bigint; readonly taskId: string } | null;
    readonly limit: number;
  },
): Promise<readonly Task[]> {
  const { rows } = await pool.query<TaskRow>(
    `select * from outbox_tasks
     where ($1::text is null or status = $1)
       and ($2::bigint is null or position < $2 or (position = $2 and task_id > $3))
     order by position desc, task_id limit $4`,
    [filter.status, filter.after?.position ?? null, filter.after?.taskId ?? null, filter.limit],
  );
  return rows.map(taskOf);
}

export async function endTask(
  pool: Pool,
  taskId: string,
  end: { readonly status: 'done' | 'skipped' | 'stopped'; readonly note: string | null; readonly at: string },
): Promise<void> {
  await pool.query('update outbox_tasks set status = $2, note = $3, ended_at = $4 where task_id = $1', [
    taskId,
    end.status,
    end.note,
    end.at,
  ]);
}

export async function postponeTask(
  pool: Pool,
  taskId: string,
  later: { readonly note: string; readonly dueAt: string; readonly failed: boolean },
): Promise<void> {
  await pool.query(
    'update outbox_tasks set note = $2, due_at = $3, attempts = attempts + $4 where task_id = $1',
    [taskId, later.note, later.dueAt, later.failed ? 1 : 0],
  );
}

/** Has it tried again now. Throws Refusal(not_found) when there is no such task, or when it is done. */
export async function retryTask(pool: Pool, taskId: string, now: string): Promise<Task> {
  const { rows } = await pool.query<TaskRow>(
    `update outbox_tasks set status = 'waiting', attempts = 0, due_at = $2, ended_at = null
     where task_id = $1 and status <> 'done' returning *`,
    [taskId, now],
  );
  if (rows[0] === undefined) throw new Refusal('not_found', { what: 'task that is not done' });
  return taskOf(rows[0]);
}

/** Has everything tried again that an agency's provider refused: it was given new credentials. */
export async function retryStopped(pool: Pool, agencyId: string, kind: TaskKind, now: string): Promise<void> {
  await pool.query(
    `update outbox_tasks set status = 'waiting', attempts = 0, due_at = $3, ended_at = null
     where agency_id = $1 and kind = $2 and status = 'stopped'`,
    [agencyId, kind, now],
  );
}

export async function outboxFacts(pool: Pool): Promise<OutboxFacts> {
  const { rows } = await pool.query<{
    readonly waiting: bigint;
    readonly failing: bigint;
    readonly stopped: bigint;
    readonly oldest_at: string | null;
  }>(
    `select count(*) filter (where status = 'waiting') as waiting,
            count(*) filter (where status = 'waiting' and attempts > 0) as failing,
            count(*) filter (where status = 'stopped') as stopped,
            min(created_at) filter (where status = 'waiting') as oldest_at
     from outbox_tasks where status in ('waiting', 'stopped')`,
  );
  const { waiting, failing, stopped, oldest_at: oldestAt } = rows[0]!;
  return { waiting: Number(waiting), failing: Number(failing), stopped: Number(stopped), oldestAt };
}
