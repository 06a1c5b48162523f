import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { sql } from 'kysely';
import { z } from 'zod';
import { NO_EXTRA } from '../domain/extra-limits.ts';
import { UNLIMITED } from '../domain/limits.ts';
import { nanosToNumber } from '../domain/money.ts';
import { tag } from '../domain/tag.ts';
import { Refusal } from '../errors.ts';
import { transact } from '../transact.ts';
import { BudgetTable, budgetTable, type BudgetRow, sharedBudgets } from './budget-view.ts';
import { type Command, commandOf, metaFor, takeEffect } from './command.ts';
import type { App, HttpDeps } from './deps.ts';
import {
  limitAnswer,
  limitFields,
  limitRecord,
  modelsField,
  NO_LIMITS,
  patchLimits,
} from './limit-fields.ts';
import { budgetIdFrom, limitsOfRow } from './limited-row.ts';
import { agencyOf, type Tables, type TenantRow } from './read.ts';
import { After, optional, refusalAnswers, ShortText } from './schemas.ts';
import { settle } from './settle.ts';
import { tenantFor } from './tenant-scope.ts';

/** Words that the requests of a tenant carry: what they mean, and what may be used under them. */

const TagName = z.string().min(1).max(200);
const Fields = z.object({
  name: TagName,
  description: optional(z.string().max(2_000)),
  organization_id: optional(ShortText).describe("Whose tag it is; the caller's own organization by default"),
  ...limitFields,
  ...modelsField,
  budget_id: optional(ShortText),
});

const Tag = z
  .looseObject({
    name: z.string(),
    description: z.string().nullable(),
    organization_id: z.string(),
    ...limitAnswer,
    spend: z.number(),
    budget_id: z.string().nullable(),
    litellm_budget_table: BudgetTable,
    created_at: z.string().nullable().describe('Null for a tag that was only seen in requests'),
    updated_at: z.string().nullable(),
    created_by: z.string().nullable(),
  })
  .meta({ id: 'Tag' });
const Changed = z.object({ message: z.string(), tag: Tag });

const route = (summary: string) => ({ summary, tags: ['tags'] });

export function tagRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    writeRoutes(app, deps);
    deleteRoute(app, deps);
    readRoutes(app);
    done();
  };
}

function onTag(
  deps: HttpDeps,
  command: Command,
  owner: TenantRow,
  name: string,
  change: Parameters<typeof tag.decide>[0],
) {
  const meta = metaFor(command, { agencyId: owner.agency_id, tenantId: owner.tenant_id });
  return transact(deps.store, tag, `tag-${owner.tenant_id}/${name}`, change, meta, { input: command.input });
}

function writeRoutes(app: App, deps: HttpDeps): void {
  for (const verb of ['new', 'update'] as const) {
    app.post(
      `/tag/${verb}`,
      {
        schema: {
          ...route(verb === 'new' ? 'Define a tag' : 'Change the named fields of a tag; null clears'),
          body: Fields,
          response: { 200: Changed, ...refusalAnswers },
        },
      },
      async (request, reply) => {
        const { body, caller } = request;
        const { name } = body;
        const command = commandOf(deps, request);
        await settle(deps, deps.appendedPosition());
        const owner = await tenantFor(deps, caller, body.organization_id);
        const known = await tagRow(deps, owner.tenant_id, name);
        if (verb === 'update' && known === undefined) throw missing();
        const state = patchLimits(
          body,
          verb === 'new' || known === undefined ? NO_LIMITS : limitsOfRow(known),
        );
        const budgetId = await budgetIdFrom(
          deps.db,
          body.budget_id,
          verb === 'new' ? null : (known?.budget_id ?? null),
        );
        const before = verb === 'new' ? null : (known?.description ?? null);
        const description = body.description === undefined ? before : body.description;
        const data = { ...state, budgetId, description };
        const change =
          verb === 'new'
            ? ({ type: 'make', data: { id: name, ...data } } as const)
            : ({ type: 'change', data } as const);
        const { position } = await onTag(deps, command, owner, name, change);
        await takeEffect(deps, reply, position);
        const [shown] = await answers(deps, owner, [name]);
        return { message: `Tag ${name} ${verb === 'new' ? 'created' : 'updated'} successfully`, tag: shown! };
      },
    );
  }
}

function missing(): Refusal {
  return new Refusal('not_found', { what: 'tag' }, { param: 'name' });
}

function deleteRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/tag/delete',
    {
      schema: {
        ...route('Delete a tag; what was spent under it stays recorded'),
        body: z.object({ name: TagName, organization_id: optional(ShortText) }),
        response: { 200: z.object({ message: z.string() }), ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { name, organization_id: named } = request.body;
      const command = commandOf(deps, request);
      const owner = await tenantFor(deps, request.caller, named);
      const { position } = await onTag(deps, command, owner, name, { type: 'remove' });
      await takeEffect(deps, reply, position);
      return { message: `Tag ${name} deleted successfully` };
    },
  );
}

function readRoutes(app: App): void {
  app.post(
    '/tag/info',
    {
      schema: {
        ...route('Show tags by their names; unknown ones are left out'),
        body: z.object({ names: z.array(TagName).min(1).max(1_000), organization_id: optional(ShortText) }),
        response: { 200: z.record(z.string(), Tag), ...refusalAnswers },
      },
    },
    async ({ deps, caller, body: { names, organization_id: named } }) => {
      await settle(deps, deps.appendedPosition());
      const owner = await tenantFor(deps, caller, named);
      const found = await answers(deps, owner, names);
      if (found.length === 0) throw missing();
      return Object.fromEntries(found.map((one) => [one.name, one]));
    },
  );

  app.get(
    '/tag/list',
    {
      schema: {
        ...route('List the tags, also those that were only seen in requests'),
        querystring: After.extend({
          organization_id: ShortText.optional(),
          page: z.coerce.number().int().min(1).max(10_000_000).default(1),
          page_size: z.coerce.number().int().min(1).max(1_000).default(1_000),
        }),
        response: { 200: z.array(Tag), ...refusalAnswers },
      },
    },
    async ({ deps, caller, query: { organization_id: named, page, page_size: size } }) => {
      const owner = await tenantFor(deps, caller, named);
      const { rows } = await sql<{ name: string }>`
        select name from tags where tenant_id = ${owner.tenant_id}
        union
        select substr(id, ${owner.tenant_id.length + 2}::int) from spend_totals
        where level = 'tag' and starts_with(id, ${`${owner.tenant_id}/`})
        order by name limit ${size} offset ${(page - 1) * size}`.execute(deps.db);
      return answers(
        deps,
        owner,
        rows.map(({ name }) => name),
      );
    },
  );
}

async function tagRow({ db }: HttpDeps, tenantId: string, name: string): Promise<Tables['tags'] | undefined> {
  return await db
    .selectFrom('tags')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('name', '=', name)
    .executeTakeFirst();
}

/** The tags of these names that are defined or were seen, in the order of the names. */
async function answers(
  deps: HttpDeps,
  { tenant_id: tenantId, agency_id: agencyId }: TenantRow,
  names: readonly string[],
): Promise<z.output<typeof Tag>[]> {
  if (names.length === 0) return [];
  const { db } = deps;
  const [rows, spent, { zone }] = await Promise.all([
    db
      .selectFrom('tags')
      .selectAll()
      .where('tenant_id', '=', tenantId)
      .where('name', 'in', [...names])
      .execute(),
    db
      .selectFrom('spend_totals')
      .select(['id', 'price_nanos'])
      .where('level', '=', 'tag')
      .where(
        'id',
        'in',
        names.map((name) => `${tenantId}/${name}`),
      )
      .execute(),
    agencyOf(db, agencyId),
  ]);
  const byName = new Map(rows.map((row) => [row.name, row]));
  const spend = new Map(spent.map((row) => [row.id.slice(tenantId.length + 1), row.price_nanos]));
  const shared = await sharedBudgets(db, rows);
  return [...new Set(names)].flatMap((name) => {
    const row = byName.get(name);
    if (row === undefined && !spend.has(name)) return [];
    return [
      answer(
        name,
        tenantId,
        row,
        spend.get(name) ?? 0n,
        shared.get(row?.budget_id ?? null),
        zone,
        deps.now(),
      ),
    ];
  });
}

function answer(
  name: string,
  tenantId: string,
  row: Tables['tags'] | undefined,
  spend: bigint,
  shared: BudgetRow | undefined,
  zone: string,
  now: string,
): z.output<typeof Tag> {
  const state = row === undefined ? { limits: UNLIMITED, extra: NO_EXTRA, options: {} } : limitsOfRow(row);
  return {
    name,
    description: row?.description ?? null,
    organization_id: tenantId,
    ...limitRecord(state, zone, now),
    spend: nanosToNumber(spend),
    budget_id: row?.budget_id ?? null,
    litellm_budget_table: budgetTable(state, shared, zone, now),
    created_at: row?.created_at ?? null,
    updated_at: row?.updated_at ?? null,
    created_by: row?.created_by ?? null,
  };
}
