import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { customer, type CustomerData } from '../domain/customer.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import { Refusal } from '../errors.ts';
import { transact } from '../transact.ts';
import { type Command, commandOf, hasRun, metaFor, partOf, takeEffect } from './command.ts';
import { contactOf, forgetContact, keepContact } from './contacts.ts';
import { Customer, customerAnswers, customerRow, namesOfCustomers } from './customer-view.ts';
import type { App, HttpDeps } from './deps.ts';
import { type LimitFields, limitFields, NO_LIMITS, patchLimits } from './limit-fields.ts';
import { budgetIdFrom, limitsOfRow } from './limited-row.ts';
import type { TenantRow } from './read.ts';
import { After, AnyJson, optional, refusalAnswers, ShortText } from './schemas.ts';
import { settle } from './settle.ts';
import { tenantFor } from './tenant-scope.ts';

/** End users: whom the apps of a tenant name in `user`. Every route exists under both of LiteLLM's names. */

const BATCH_MAX = 500;
const CustomerId = z.string().min(1).max(200);
const organization = {
  organization_id: optional(ShortText).describe("Whose end user; the caller's own organization by default"),
};
const Fields = z.object({
  user_id: CustomerId,
  ...organization,
  alias: optional(z.string().max(200)),
  blocked: optional(z.boolean()),
  budget_id: optional(ShortText),
  ...limitFields,
  allowed_model_region: optional(z.enum(['eu', 'us'])),
  default_model: optional(ShortText),
  object_permission: optional(AnyJson),
});
type Fields = z.output<typeof Fields>;
const Ids = z.object({ user_ids: z.array(CustomerId).min(1).max(BATCH_MAX), ...organization });

const route = (summary: string) => ({ summary, tags: ['customers'] });

export function customerRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    for (const base of ['/customer', '/end_user'] as const) {
      writeRoutes(app, deps, base);
      blockRoutes(app, deps, base);
      deleteRoute(app, deps, base);
      readRoutes(app, base);
    }
    done();
  };
}

/** One of a tenant. */
function streamOf(owner: TenantRow, id: string): string {
  return `customer-${owner.tenant_id}/${id}`;
}

/** The contact record holds the alias: beside the log, because it names a person. */
function contactId(owner: TenantRow, id: string): string {
  return `${owner.tenant_id}/${id}`;
}

function onCustomer(
  deps: HttpDeps,
  command: Command,
  owner: TenantRow,
  id: string,
  change: Parameters<typeof customer.decide>[0],
) {
  const meta = metaFor(command, { agencyId: owner.agency_id, tenantId: owner.tenant_id });
  return transact(deps.store, customer, streamOf(owner, id), change, meta, { input: command.input });
}

const missing = () => new Refusal('not_found', { what: 'customer' }, { param: 'user_id' });

function writeRoutes(app: App, deps: HttpDeps, base: '/customer' | '/end_user'): void {
  for (const verb of ['new', 'update'] as const) {
    app.post(
      `${base}/${verb}`,
      {
        schema: {
          ...route(
            verb === 'new' ? 'Register an end user' : 'Change the named fields of an end user; null clears',
          ),
          body: Fields,
          response: { 200: Customer, ...refusalAnswers },
        },
      },
      async (request, reply) => {
        const { body, caller } = request;
        const command = commandOf(deps, request);
        await settle(deps, deps.appendedPosition());
        const owner = await tenantFor(deps, caller, body.organization_id);
        requireKnownModel(deps, body);
        const position = await write(deps, command, owner, body, verb);
        await takeEffect(deps, reply, position);
        return (await customerAnswers(deps, owner, [body.user_id]))[0]!;
      },
    );
  }
}

async function write(
  deps: HttpDeps,
  command: Command,
  owner: TenantRow,
  fields: Fields,
  verb: 'new' | 'update',
): Promise<bigint> {
  const { user_id: id, alias } = fields;
  const known = await customerRow(deps.db, owner.tenant_id, id);
  const repeated = await hasRun(deps.store, streamOf(owner, id), command);
  if (verb === 'update' && known === undefined) throw missing();
  if (verb === 'new' && known !== undefined && !repeated)
    throw new Refusal('customer_exists', { id }, { param: 'user_id' });
  const before = verb === 'new' ? undefined : known;
  const state = patchLimits(fields, before === undefined ? NO_LIMITS : limitsOfRow(before));
  const renamed = alias !== undefined && !repeated;
  const contactVersion = Number(before?.contact_version ?? 0) + (alias === undefined ? 0 : 1);
  // Both together is more than LiteLLM documents: what the request names itself counts.
  const inline = Object.keys(limitFields).some(
    (name) => fields[name as keyof LimitFields & keyof Fields] != null,
  );
  const shared = inline && verb === 'new' ? null : fields.budget_id;
  const data: Omit<CustomerData, 'id'> = {
    ...state,
    options: optionsFrom(fields, state.options),
    blocked: fields.blocked ?? before?.blocked ?? false,
    budgetId: await budgetIdFrom(deps.db, shared, before?.budget_id ?? null),
    contactVersion,
  };
  if (renamed) {
    const contact = await contactOf(deps.db, 'customer', contactId(owner, id));
    await keepContact(deps.db, 'customer', contactId(owner, id), Math.max(contactVersion, 1), {
      ...contact,
      alias,
    });
  }
  const change =
    verb === 'new' ? ({ type: 'make', data: { id, ...data } } as const) : ({ type: 'change', data } as const);
  return (await onCustomer(deps, command, owner, id, change)).position;
}

const OPTIONS = ['allowed_model_region', 'default_model', 'object_permission'] as const;

function optionsFrom(fields: Fields, now: JsonObject): JsonObject {
  const options: Record<string, Json> = { ...now };
  for (const name of OPTIONS) {
    const value = fields[name];
    if (value === null) delete options[name];
    else if (value !== undefined) options[name] = value;
  }
  return options;
}

function requireKnownModel(deps: HttpDeps, { default_model: name }: Fields): void {
  if (name == null || deps.models().some(({ publicName }) => publicName === name)) return;
  const problems = `default_model: ${name} is not served here`;
  throw new Refusal('invalid_input', { problems }, { param: 'default_model' });
}

function blockRoutes(app: App, deps: HttpDeps, base: '/customer' | '/end_user'): void {
  for (const verb of ['block', 'unblock'] as const) {
    app.post(
      `${base}/${verb}`,
      {
        schema: {
          ...route(verb === 'block' ? 'Refuse requests of these end users' : 'Serve these end users again'),
          body: Ids,
          response: { 200: z.object({ blocked_users: z.array(Customer) }), ...refusalAnswers },
        },
      },
      async (request, reply) => {
        const { user_ids: ids, organization_id: named } = request.body;
        const command = commandOf(deps, request);
        await settle(deps, deps.appendedPosition());
        const owner = await tenantFor(deps, request.caller, named);
        let position = 0n;
        for (const id of new Set(ids)) {
          const blocked = verb === 'block';
          const known = await customerRow(deps.db, owner.tenant_id, id);
          if (known === undefined && !blocked) throw missing();
          // Whom nobody registered can be blocked all the same.
          const made = { ...NO_LIMITS, id, blocked, budgetId: null, contactVersion: 0 };
          const change =
            known === undefined
              ? ({ type: 'make', data: made } as const)
              : ({ type: 'change', data: { blocked } } as const);
          ({ position } = await onCustomer(deps, partOf(command, id), owner, id, change));
        }
        await takeEffect(deps, reply, position);
        return { blocked_users: await customerAnswers(deps, owner, ids) };
      },
    );
  }
}

function deleteRoute(app: App, deps: HttpDeps, base: '/customer' | '/end_user'): void {
  app.post(
    `${base}/delete`,
    {
      schema: {
        ...route('Delete end users; what they used stays recorded'),
        body: Ids,
        response: {
          200: z.object({ deleted_customers: z.number(), message: z.string() }),
          ...refusalAnswers,
        },
      },
    },
    async (request, reply) => {
      const { user_ids, organization_id: named } = request.body;
      const ids = [...new Set(user_ids)];
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      const owner = await tenantFor(deps, request.caller, named);
      const done = await Promise.all(ids.map((id) => hasRun(deps.store, streamOf(owner, id), command)));
      const open = ids.filter((_, index) => !done[index]);
      for (const id of open) {
        if ((await customerRow(deps.db, owner.tenant_id, id)) === undefined) throw missing();
      }
      let position = deps.appendedPosition();
      for (const id of open) {
        ({ position } = await onCustomer(deps, command, owner, id, { type: 'remove' }));
        await forgetContact(deps.db, 'customer', contactId(owner, id));
      }
      await takeEffect(deps, reply, position);
      return {
        deleted_customers: ids.length,
        message: `Successfully deleted customers with ids: ${ids.join(', ')}`,
      };
    },
  );
}

function readRoutes(app: App, base: '/customer' | '/end_user'): void {
  app.get(
    `${base}/info`,
    {
      schema: {
        ...route('Show an end user, registered or only seen in requests'),
        querystring: After.extend({ end_user_id: CustomerId, organization_id: ShortText.optional() }),
        response: { 200: Customer, ...refusalAnswers },
      },
    },
    async ({ deps, caller, query: { end_user_id: id, organization_id: named } }) => {
      const owner = await tenantFor(deps, caller, named);
      const [shown] = await customerAnswers(deps, owner, [id]);
      if (shown === undefined) throw missing();
      return shown;
    },
  );

  app.get(
    `${base}/list`,
    {
      schema: {
        ...route('List the end users, also those that were only seen in requests'),
        querystring: After.extend({
          organization_id: ShortText.optional(),
          page: z.coerce.number().int().min(1).max(10_000_000).default(1),
          page_size: z.coerce.number().int().min(1).max(1_000).default(1_000),
        }),
        response: { 200: z.array(Customer), ...refusalAnswers },
      },
    },
    async ({ deps, caller, query: { organization_id: named, page, page_size: size } }) => {
      const owner = await tenantFor(deps, caller, named);
      return customerAnswers(deps, owner, await namesOfCustomers(deps.db, owner.tenant_id, page, size));
    },
  );
}
