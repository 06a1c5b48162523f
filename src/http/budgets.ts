import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { budget } from '../domain/budget.ts';
import { Refusal } from '../errors.ts';
import { derivedId } from '../secrets.ts';
import { transact } from '../transact.ts';
import { type BudgetRow, BudgetRecord, budgetRecord, budgetRows } from './budget-view.ts';
import { changeKey } from './change-key.ts';
import { later } from './change-team.ts';
import { type Command, commandOf, hasRun, metaFor, partOf, takeEffect } from './command.ts';
import type { App, HttpDeps } from './deps.ts';
import type { KeyIssuer } from './issue-key.ts';
import { type LimitFields, limitFields, NO_LIMITS, patchLimits } from './limit-fields.ts';
import { limitsOfRow } from './limited-row.ts';
import { onTenant } from './project-command.ts';
import { keyViews } from './read.ts';
import { After, optional, refusalAnswers, ShortText } from './schemas.ts';
import { settle } from './settle.ts';
import { changedFields, patchedByBudget } from './shared-budget.ts';
import { limitsOrNull } from './team-fields.ts';
import { limitsOfTeam, teamRows } from './team-view.ts';

/** Limits under a name that keys, teams, users, end users, organizations and tags can share. */

const BudgetId = z
  .string()
  .regex(/^[\x21-\x7e]{1,100}$/, 'expected 1 to 100 printable characters without blanks');
const Body = z.object({ ...limitFields, budget_id: optional(BudgetId) });
const NotApplied = z.object({ key_id: z.string(), reason: z.string() });
const route = (summary: string) => ({ summary, tags: ['budgets'] });

export function budgetRoutes(deps: HttpDeps, issuer: KeyIssuer): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    newRoute(app, deps);
    updateRoute(app, deps, issuer);
    deleteRoute(app, deps);
    readRoutes(app);
    done();
  };
}

function onBudget(deps: HttpDeps, command: Command, id: string, change: Parameters<typeof budget.decide>[0]) {
  const meta = metaFor(command, { agencyId: deps.ownTenant.agencyId, tenantId: null });
  return transact(deps.store, budget, `budget-${id}`, change, meta, { input: command.input });
}

async function budgetNamed({ db }: HttpDeps, id: string): Promise<BudgetRow> {
  const row = await budgetRows(db).where('budgets.budget_id', '=', id).executeTakeFirst();
  if (row === undefined) throw new Refusal('not_found', { what: 'budget' }, { param: 'budget_id' });
  return row;
}

function newRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/budget/new',
    {
      schema: {
        ...route('Define a budget that others can share'),
        body: Body,
        response: { 200: BudgetRecord, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const command = commandOf(deps, request);
      const id = request.body.budget_id || derivedId('bud', command.commandId, 'budget');
      const state = patchLimits(request.body, NO_LIMITS);
      const { position } = await onBudget(deps, command, id, { type: 'make', data: { id, ...state } });
      await takeEffect(deps, reply, position);
      return budgetRecord(await budgetNamed(deps, id), deps.now());
    },
  );
}

function updateRoute(app: App, deps: HttpDeps, issuer: KeyIssuer): void {
  app.post(
    '/budget/update',
    {
      schema: {
        ...route('Change a budget, and the limits of the keys and teams that carry it'),
        body: Body,
        response: {
          200: BudgetRecord.extend({
            not_applied: z
              .array(NotApplied)
              .describe('Keys whose contract does not allow it; they stay as they were'),
          }),
          ...refusalAnswers,
        },
      },
    },
    async (request, reply) => {
      const { budget_id: id, ...fields } = request.body;
      if (!id) throw new Refusal('bad_request', { problem: 'budget_id is required' }, { param: 'budget_id' });
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      const row = await budgetNamed(deps, id);
      const before = limitsOfRow(row);
      const after = patchLimits(fields, before);
      const { position } = await onBudget(deps, command, id, { type: 'change', data: after });
      // A repetition finds the budget as it is to be already: what it named may be missing elsewhere still.
      const repeated = await hasRun(deps.store, `budget-${id}`, command);
      const changed: LimitFields = repeated
        ? { ...changedFields(before, after), ...defined(fields) }
        : changedFields(before, after);
      const carried = await carryOn(deps, issuer, command, id, changed);
      await takeEffect(deps, reply, later(position, carried.position));
      return { ...budgetRecord(await budgetNamed(deps, id), deps.now()), not_applied: [...carried.failed] };
    },
  );
}

function defined<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>;
}

/** Writes what changed into every key and team that carries the budget, each with an event of its own. */
async function carryOn(
  deps: HttpDeps,
  issuer: KeyIssuer,
  command: Command,
  budgetId: string,
  changed: LimitFields,
): Promise<{ readonly position: bigint; readonly failed: readonly z.output<typeof NotApplied>[] }> {
  let position = 0n;
  const failed: z.output<typeof NotApplied>[] = [];
  if (Object.keys(changed).length === 0) return { position, failed };
  const admin = { role: 'proxy_admin', userId: command.actor.id, key: null } as const;
  const views = await keyViews(deps.db)
    .where('keys.budget_id', '=', budgetId)
    .where('keys.status', '!=', 'deleted')
    .execute();
  for (const view of views) {
    try {
      const part = partOf(command, view.key_id);
      position = later(position, (await changeKey(deps, issuer, part, view, changed, admin)).position);
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 400) throw error;
      failed.push({ key_id: view.key_id, reason: error.message });
    }
  }
  const teams = await teamRows(deps.db)
    .where('projects.budget_id', '=', budgetId)
    .where('projects.status', '!=', 'closed')
    .execute();
  for (const team of teams) {
    const state = patchedByBudget(limitsOfTeam(team), changed);
    const { position: moved } = await onTenant(deps, partOf(command, team.project_id), team, {
      type: 'change-project',
      projectId: team.project_id,
      limits: limitsOrNull(state.limits),
      settings: { extra: state.extra, options: state.options },
    });
    position = later(position, moved);
  }
  return { position, failed };
}

function deleteRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/budget/delete',
    {
      schema: {
        ...route('Delete a budget; keys and teams keep the limits that they got from it'),
        body: z.object({ id: BudgetId }),
        response: { 200: BudgetRecord, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { id } = request.body;
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      const record = budgetRecord(await budgetNamed(deps, id), deps.now());
      const { position } = await onBudget(deps, command, id, { type: 'remove' });
      await takeEffect(deps, reply, position);
      return record;
    },
  );
}

/** What can be set, for forms. */
const SETTINGS = [
  ['max_budget', 'Float', 'The most that may be spent in the window; 0 allows nothing'],
  ['soft_budget', 'Float', 'Reaching it only warns'],
  ['budget_duration', 'String', 'Window of the budget, such as 1d or 30d'],
  ['max_parallel_requests', 'Integer', 'Requests in flight at once'],
  ['tpm_limit', 'Integer', 'Tokens per minute'],
  ['rpm_limit', 'Integer', 'Requests per minute'],
] as const;

function readRoutes(app: App): void {
  app.post(
    '/budget/info',
    {
      schema: {
        ...route('Show budgets; unknown ones are left out'),
        body: z.object({ budgets: z.array(z.string().max(100)).max(1_000) }),
        response: { 200: z.array(BudgetRecord), ...refusalAnswers },
      },
    },
    async ({ deps, body: { budgets } }) => {
      if (budgets.length === 0) {
        throw new Refusal(
          'bad_request',
          { problem: 'Specify list of budget id’s to query.' },
          { param: 'budgets' },
        );
      }
      await settle(deps, deps.appendedPosition());
      const rows = await budgetRows(deps.db)
        .where('budgets.budget_id', 'in', budgets)
        .orderBy('budgets.budget_id')
        .execute();
      return rows.map((row) => budgetRecord(row, deps.now()));
    },
  );

  app.get(
    '/budget/list',
    {
      schema: {
        ...route('List the budgets, newest first'),
        querystring: After.extend({
          page: z.coerce.number().int().min(1).max(10_000_000).default(1),
          page_size: z.coerce.number().int().min(1).max(1_000).default(1_000),
        }),
        response: { 200: z.array(BudgetRecord), ...refusalAnswers },
      },
    },
    async ({ deps, query: { page, page_size: size } }) => {
      const rows = await budgetRows(deps.db)
        .orderBy('budgets.created_at', 'desc')
        .orderBy('budgets.budget_id')
        .limit(size)
        .offset((page - 1) * size)
        .execute();
      return rows.map((row) => budgetRecord(row, deps.now()));
    },
  );

  app.get(
    '/budget/settings',
    {
      schema: {
        ...route('The fields of a budget, with their values'),
        querystring: After.extend({ budget_id: ShortText.min(1) }),
        response: {
          200: z.array(
            z.object({
              field_name: z.string(),
              field_type: z.string(),
              field_description: z.string(),
              field_value: z.union([z.string(), z.number(), z.null()]),
              stored_in_db: z.boolean(),
            }),
          ),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, query: { budget_id: id } }) => {
      const record = budgetRecord(await budgetNamed(deps, id), deps.now());
      return SETTINGS.map(([name, type, description]) => ({
        field_name: name,
        field_type: type,
        field_description: description,
        field_value: record[name],
        stored_in_db: record[name] !== null,
      }));
    },
  );
}
