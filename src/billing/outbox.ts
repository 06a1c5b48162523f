import { setTimeout as pause } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { Log } from '../log.ts';
import type { EventStore } from '../store/event-store.ts';
import { exclusively } from './exclusive.ts';
import {
  dueTasks,
  endTask,
  keepTasks,
  outboxCheckpoint,
  type OutboxFacts,
  outboxFacts,
  NO_OUTBOX_FACTS,
  postponeTask,
  type Task,
} from './outbox-records.ts';
import { TASK_PREFIXES, tasksOf } from './outbox-tasks.ts';

/**
 * Carries out outside what the log asks for, by one process at a time: it reads the log from its
 * checkpoint, keeps the tasks that follow, and works what is due. A task that is interrupted anywhere
 * is begun anew, so whoever carries one out makes its steps repeatable.
 */
export type Worked =
  | { readonly status: 'done' | 'skipped' | 'stopped'; readonly note: string | null }
  /** To be tried again: after so long, or after a wait that grows with each failure when it is null. */
  | { readonly status: 'waiting'; readonly note: string; readonly retryAfterMs: number | null };

export interface OutboxDeps {
  readonly store: EventStore;
  readonly pool: Pool;
  /** ISO instant, UTC. */
  readonly now: () => string;
  readonly log: Pick<Log, 'warn' | 'error' | 'info'>;
  /** What it throws is a defect: logged, and tried again. */
  readonly work: (task: Task) => Promise<Worked>;
}

export interface Outbox {
  /** Of the newest look; every process looks. */
  facts(): OutboxFacts;
  /** Waits for the steps under way. */
  stop(): Promise<void>;
}

/** How often it is looked whether something is due, and how soon another process takes over. */
const POLL_MS = 2_000;
const FACTS_MS = 15_000;
const TASKS_MAX = 100;
/** Tenants at a time. */
const PARALLEL = 4;
const RETRY_MS_MIN = 5_000;
const RETRY_MS_MAX = 3_600_000;
/** Batches without anything to do after which the place in the log is noted all the same. */
const UNSAVED_BATCHES_MAX = 100;
const LOCK = 'outbox';

/** Waits 5 s, 10 s, 20 s … up to an hour. */
export function retryAfterMs(attempts: number): number {
  return Math.min(RETRY_MS_MIN * 2 ** Math.min(attempts, 20), RETRY_MS_MAX);
}

/** Reads what the log has beyond the checkpoint, keeps the tasks, and ends. */
export async function fillOutbox(deps: Pick<OutboxDeps, 'store' | 'pool' | 'now'>): Promise<void> {
  const ending = new AbortController();
  const from = await outboxCheckpoint(deps.pool, await deps.store.head());
  for await (const batch of deps.store.subscribe(from, ending.signal, { prefixes: TASK_PREFIXES })) {
    await keepTasks(deps.pool, batch.events.flatMap(tasksOf), batch.position, deps.now());
    if (batch.caughtUp) ending.abort();
  }
}

/** Works everything that is due now; returns how many tasks were tried. */
export async function workOutbox(deps: OutboxDeps, lost?: AbortSignal): Promise<number> {
  const tasks = await dueTasks(deps.pool, deps.now(), TASKS_MAX);
  const groups = byTenant(tasks);
  const workers = Array.from({ length: Math.min(PARALLEL, groups.length) }, async () => {
    for (let group = groups.shift(); group !== undefined; group = groups.shift()) {
      for (const task of group) if (lost?.aborted !== true) await tryTask(deps, task);
    }
  });
  await Promise.all(workers);
  return tasks.length;
}

/** Tasks of one tenant are tried one after the other, in their order: they share its customer at the provider. */
function byTenant(tasks: readonly Task[]): Task[][] {
  const groups = new Map<string, Task[]>();
  for (const task of tasks) {
    const group = groups.get(task.tenantId);
    if (group === undefined) groups.set(task.tenantId, [task]);
    else group.push(task);
  }
  return [...groups.values()];
}

async function tryTask(deps: OutboxDeps, task: Task): Promise<void> {
  const { pool, now, log } = deps;
  const { taskId, attempts } = task;
  let worked: Worked;
  try {
    worked = await deps.work(task);
  } catch (error) {
    log.error({ err: error, taskId }, 'a task of the outbox failed');
    worked = {
      status: 'waiting',
      note: 'Internal error; the log of the server has its cause.',
      retryAfterMs: null,
    };
  }
  if (worked.status !== 'waiting') return endTask(pool, taskId, { ...worked, at: now() });
  const { note } = worked;
  const afterMs = worked.retryAfterMs ?? retryAfterMs(attempts);
  const dueAt = new Date(Date.parse(now()) + afterMs).toISOString();
  await postponeTask(pool, taskId, { note, dueAt, failed: worked.retryAfterMs === null });
}

export function startOutbox(deps: OutboxDeps): Outbox {
  const stopping = new AbortController();
  const { signal } = stopping;
  let facts = NO_OUTBOX_FACTS;

  async function look(): Promise<void> {
    while (!signal.aborted) {
      facts = await outboxFacts(deps.pool).catch(() => facts);
      await pause(FACTS_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      try {
        await exclusively(deps.pool, LOCK, (lost) => serve(deps, AbortSignal.any([signal, lost])));
      } catch (error) {
        if (!signal.aborted) deps.log.warn({ err: error }, 'the outbox was interrupted');
      }
      await pause(POLL_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  const running = Promise.all([run(), look()]);
  return {
    facts: () => facts,
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/** Follows the log and works, until the signal says so or one of the two fails. */
async function serve(deps: OutboxDeps, outer: AbortSignal): Promise<void> {
  const failing = new AbortController();
  const signal = AbortSignal.any([outer, failing.signal]);
  let wake = (): void => undefined;

  async function follow(): Promise<void> {
    const from = await outboxCheckpoint(deps.pool, await deps.store.head());
    let unsaved = 0;
    for await (const batch of deps.store.subscribe(from, signal, { prefixes: TASK_PREFIXES })) {
      unsaved += 1;
      if (batch.events.length === 0 && unsaved < UNSAVED_BATCHES_MAX) continue;
      unsaved = 0;
      await keepTasks(deps.pool, batch.events.flatMap(tasksOf), batch.position, deps.now());
      wake();
    }
  }

  async function work(): Promise<void> {
    while (!signal.aborted) {
      const count = await workOutbox(deps, signal);
      if (count === TASKS_MAX) continue;
      const woken = new Promise<void>((done) => {
        wake = done;
      });
      await Promise.race([woken, pause(POLL_MS, undefined, { signal }).catch(() => undefined)]);
    }
  }

  const failed = (error: unknown): never => {
    failing.abort();
    throw error;
  };
  const ended = await Promise.allSettled([follow().catch(failed), work().catch(failed)]);
  for (const one of ended) if (one.status === 'rejected' && !outer.aborted) throw one.reason;
}
