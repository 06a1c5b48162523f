import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { type JsonObject } from '../domain/json.ts';
import { model, type ModelData } from '../domain/model.ts';
import { Refusal } from '../errors.ts';
import { readModel, splitParams } from '../model-params.ts';
import { derivedId } from '../secrets.ts';
import { transact } from '../transact.ts';
import { type Command, commandOf, hasRun, metaFor, takeEffect } from './command.ts';
import type { App, HttpDeps } from './deps.ts';
import { ModelRecord, modelRecord, type ModelRow } from './model-view.ts';
import { recordOf } from './read.ts';
import { AnyJson, optional, refusalAnswers, ShortText } from './schemas.ts';
import { settle } from './settle.ts';

/**
 * Models that are added, changed and removed while the server runs. The gateway reads them from the
 * log like everything else that it decides by, so the next request finds them.
 */

const Id = z.string().regex(/^[\x21-\x7e]{1,200}$/, 'expected 1 to 200 printable characters');
const Name = z.string().min(1).max(500);
const New = z.object({
  model_name: Name.describe('What clients ask for; `*` or `openai/*` serves any matching name'),
  litellm_params: AnyJson.describe('model, api_base, api_key, costs per token, rpm, tpm, weight, timeout …'),
  model_info: optional(AnyJson.describe('id, mode, max_output_tokens …')),
});
const Change = z.object({
  model_name: optional(Name),
  litellm_params: optional(AnyJson.describe('Only what changes; null removes')),
  model_info: optional(AnyJson),
});
type Change = z.output<typeof Change>;

const route = (summary: string) => ({ summary, tags: ['models'] });

export function modelWriteRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    newRoute(app, deps);
    updateRoutes(app, deps);
    deleteRoute(app, deps);
    done();
  };
}

function onModel(deps: HttpDeps, command: Command, id: string, change: Parameters<typeof model.decide>[0]) {
  const meta = metaFor(command, { agencyId: deps.ownTenant.agencyId, tenantId: null });
  return transact(deps.store, model, `model-${id}`, change, meta, { input: command.input });
}

function newRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/model/new',
    {
      schema: {
        ...route('Add a model, or a further deployment of one; the next request can use it'),
        body: New,
        response: { 200: ModelRecord, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { model_name: name, litellm_params: params, model_info: sent } = request.body;
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      const { id: named, ...info } = sent ?? {};
      const id = named == null ? derivedId('mod', command.commandId, 'model') : idFrom(named);
      const repeated = await hasRun(deps.store, `model-${id}`, command);
      if (!repeated && deps.models().some((one) => one.id === id)) {
        throw new Refusal('model_exists', { id }, { param: 'model_info.id' });
      }
      const data = keptAs(deps, id, name, params, info);
      const { position } = await onModel(deps, command, id, { type: 'make', data });
      await takeEffect(deps, reply, position);
      return modelRecord(await requireModel(deps, id, 404));
    },
  );
}

function idFrom(value: unknown): string {
  const parsed = Id.safeParse(value);
  if (parsed.success) return parsed.data;
  throw invalid('model_info.id: expected 1 to 200 printable characters', 'model_info.id');
}

function invalid(problems: string, param: string): Refusal {
  return new Refusal('invalid_input', { problems }, { param });
}

/** Throws Refusal(invalid_input | bad_request) for what could not be served. */
function keptAs(deps: HttpDeps, id: string, name: string, params: JsonObject, info: JsonObject): ModelData {
  if (info['team_id'] != null) {
    const problem = 'A model belongs to everybody here; say in a team’s `models` who may use it.';
    throw new Refusal('bad_request', { problem }, { param: 'model_info.team_id' });
  }
  const { plain, secret } = splitParams(params);
  const read = readModel({ id, name, params: { ...plain, ...secret }, info }, deps.upstreamBaseUrl);
  if ('problems' in read) {
    const problems = read.problems.map(({ path, message }) => `body.${path}: ${message}`).join('; ');
    throw invalid(problems, read.problems[0]!.path);
  }
  return {
    id,
    name,
    params: plain,
    info,
    sealed: secret === null ? null : deps.credentials.seal(id, secret),
  };
}

/** Throws Refusal: models of the configuration are not changed here (400), others do not exist. */
async function requireModel(deps: HttpDeps, id: string, status: 400 | 404): Promise<ModelRow> {
  const row = await deps.db.selectFrom('models').selectAll().where('model_id', '=', id).executeTakeFirst();
  if (row !== undefined) return row;
  const configured = deps.models().some((one) => one.id === id);
  if (!configured && status === 404) throw new Refusal('not_found', { what: 'model' }, { param: 'model_id' });
  const problem = configured
    ? `The model ${id} stands in the configuration; change it there.`
    : `There is no model ${id}.`;
  throw new Refusal('bad_request', { problem }, { param: 'id' });
}

function updateRoutes(app: App, deps: HttpDeps): void {
  const response = { 200: ModelRecord, ...refusalAnswers };
  app.patch(
    '/model/:model_id/update',
    {
      schema: {
        ...route('Change the named parts of a model; null removes one'),
        params: z.object({ model_id: Id }),
        body: Change,
        response,
      },
    },
    async (request, reply) => {
      const command = commandOf(deps, request);
      const position = await change(deps, command, request.params.model_id, request.body);
      await takeEffect(deps, reply, position);
      return modelRecord(await requireModel(deps, request.params.model_id, 404));
    },
  );

  app.post(
    '/model/update',
    {
      schema: {
        ...route('Change the named parts of a model, named by model_info.id; null removes one'),
        body: Change.extend({ model_id: optional(ShortText) }),
        response,
      },
    },
    async (request, reply) => {
      const { model_id: named, ...body } = request.body;
      const id = named ?? body.model_info?.['id'];
      if (id == null) {
        const problem = 'Say which model: model_info.id.';
        throw new Refusal('bad_request', { problem }, { param: 'model_info.id' });
      }
      const command = commandOf(deps, request);
      const position = await change(deps, command, idFrom(id), body);
      await takeEffect(deps, reply, position);
      return modelRecord(await requireModel(deps, idFrom(id), 404));
    },
  );
}

async function change(deps: HttpDeps, command: Command, id: string, body: Change): Promise<bigint> {
  await settle(deps, deps.appendedPosition());
  const row = await requireModel(deps, id, 404);
  const { litellm_params: sent, model_info: sentInfo, model_name: name } = body;
  const before = row.sealed === null ? {} : deps.credentials.open(id, row.sealed);
  const params = merged({ ...recordOf(row.params), ...before }, sent ?? {});
  const { id: _id, ...info } = merged(recordOf(row.info), sentInfo ?? {});
  const data = keptAs(deps, id, name ?? row.name, params, info);
  // Encrypted anew, the same credentials would look like a change.
  const touched = Object.keys(sent ?? {}).some(
    (param) => !(param in recordOf(row.params)) || param in before,
  );
  const sealed = touched ? data.sealed : row.sealed;
  const { id: _same, ...rest } = data;
  return (await onModel(deps, command, id, { type: 'change', data: { ...rest, sealed } })).position;
}

/** The merge of RFC 7396, one level deep. */
function merged(now: JsonObject, change: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries({ ...now, ...change }).filter(([, value]) => value !== null));
}

function deleteRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/model/delete',
    {
      schema: {
        ...route('Remove a model; requests on their way still end'),
        body: z.object({ id: Id }),
        response: { 200: z.object({ message: z.string() }), ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { id } = request.body;
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      if (!(await hasRun(deps.store, `model-${id}`, command))) await requireModel(deps, id, 400);
      const { position } = await onModel(deps, command, id, { type: 'remove' });
      await takeEffect(deps, reply, position);
      return { message: `Model: ${id} deleted successfully` };
    },
  );
}
