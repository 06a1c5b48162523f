import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { OutboxTask } from './collection-desk.ts';
import type { App } from './deps.ts';
import { pageOf, placeIn } from './read.ts';
import { After, AnyValue, Page, refusalAnswers } from './schemas.ts';

/** What is to be done outside because of what is in the log, for the operator. */
const Task = z
  .object({
    id: z.string(),
    kind: z
      .string()
      .describe('collect, mail-invoice, mail-cancellation, mail-reminder, reinstate, raise-alert or alert'),
    agency_id: z.string(),
    tenant_id: z.string(),
    invoice_id: z.string().describe('Empty for what is about no invoice'),
    status: z.string().describe('waiting, done, skipped, or stopped: somebody has to look at it'),
    attempts: z.number().describe('That failed'),
    due_at: z.string(),
    note: z.string().nullable().describe('What came of it, or why the newest attempt failed'),
    created_at: z.string(),
    ended_at: z.string().nullable(),
  })
  .meta({ id: 'OutboxTask' });

export const OutboxFactsShown = z.object({
  waiting: z.number(),
  failing: z.number().describe('Of those that wait, how many have failed at least once'),
  stopped: z.number().describe('Somebody has to look at these'),
  oldest_at: z.string().nullable(),
});

export function outboxRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    listRoute(app);
    retryRoute(app);
    runsRoute(app);
    done();
  };
}

function shownTask(task: OutboxTask): z.infer<typeof Task> {
  return {
    id: task.taskId,
    kind: task.kind,
    agency_id: task.agencyId,
    tenant_id: task.tenantId,
    invoice_id: task.invoiceId,
    status: task.status,
    attempts: task.attempts,
    due_at: task.dueAt,
    note: task.note,
    created_at: task.createdAt,
    ended_at: task.endedAt,
  };
}

function listRoute(app: App): void {
  app.get(
    '/api/outbox',
    {
      config: { settles: false },
      schema: {
        summary: 'List what is to be done outside, newest first: invoices to collect, mails to send',
        tags: ['outbox'],
        querystring: Page.extend({
          status: z.enum(['waiting', 'done', 'skipped', 'stopped']).optional(),
          invoice_id: z.string().max(100).optional(),
        }),
        response: {
          200: z.object({ data: z.array(Task), next_cursor: z.string().nullable(), facts: OutboxFactsShown }),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, query: { limit, cursor, status, invoice_id: invoiceId } }) => {
      const { oldestAt, ...counts } = await deps.collection.outboxFacts();
      const facts = { ...counts, oldest_at: oldestAt };
      if (invoiceId !== undefined) {
        const tasks = await deps.collection.tasksOfInvoice(invoiceId);
        return { data: tasks.map(shownTask), next_cursor: null, facts };
      }
      const place = placeIn(cursor, [/^\d{1,18}$/, /^[\w -]{1,100}$/]);
      const after = place === undefined ? null : { position: BigInt(place[0]!), taskId: place[1]! };
      const tasks = await deps.collection.tasks({ status: status ?? null, after, limit: limit + 1 });
      const page = pageOf(tasks, limit, (task) => [String(task.position), task.taskId]);
      return { data: page.rows.map(shownTask), next_cursor: page.nextCursor, facts };
    },
  );
}

function retryRoute(app: App): void {
  app.post(
    '/api/outbox/retry',
    {
      schema: {
        summary: 'Have a task tried again now, whether it waits, was skipped or has stopped',
        tags: ['outbox'],
        body: z.strictObject({ task_id: z.string().max(200) }),
        response: { 200: Task, ...refusalAnswers },
      },
    },
    async ({ deps, body }) => shownTask(await deps.collection.retry(body.task_id)),
  );
}

function runsRoute(app: App): void {
  app.get(
    '/api/invoice-runs',
    {
      schema: {
        summary: 'List the invoice runs that came by themselves, newest first, with their reports',
        tags: ['invoices'],
        querystring: After.extend({ agency_id: z.string().max(100).optional() }),
        response: {
          200: z.object({
            data: z.array(
              z.object({
                agency_id: z.string(),
                period: z.string(),
                attempts: z.number(),
                next_at: z.string().nullable().describe('When it is tried again; null when all are through'),
                problem: z.string().nullable(),
                started_at: z.string(),
                ended_at: z.string().nullable(),
                report: AnyValue,
              }),
            ),
            next_cursor: z.null(),
          }),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, query }) => {
      const runs = await deps.collection.scheduledRuns(query.agency_id ?? null);
      const data = runs.map((run) => ({
        agency_id: run.agencyId,
        period: run.period,
        attempts: run.attempts,
        next_at: run.nextAt,
        problem: run.problem,
        started_at: run.startedAt,
        ended_at: run.endedAt,
        report: run.report,
      }));
      return { data, next_cursor: null };
    },
  );
}
