import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { Refusal } from '../errors.ts';
import { changeKey, findForDeletion, generateKey, onKey, rotateKey } from './change-key.ts';
import { commandOf, takeEffect } from './command.ts';
import type { App, HttpDeps } from './deps.ts';
import type { KeyIssuer } from './issue-key.ts';
import {
  GenerateBody,
  type KeyFields,
  KeyRecord,
  KeyWithSecret,
  RegenerateBody,
  UpdateBody,
} from './key-fields.ts';
import { changedKeyByPolicy } from './key-policy.ts';
import { keyRecord, keyRecords } from './key-record.ts';
import { requireRightTo } from './key-rights.ts';
import { columnFor, requireKey, viewOfKey } from './key-target.ts';
import { refusalAnswers } from './schemas.ts';
import { settle } from './settle.ts';

/** What changes keys. Reading them is in key-reads.ts. */

const KEYS_MAX = 1_000;
const KeyBody = z.object({ key: z.string().min(1).max(500).describe('Secret, token hash or key id') });
const DeleteBody = z.object({
  keys: z.array(z.string().min(1).max(500)).max(KEYS_MAX).nullish(),
  key_aliases: z.array(z.string().min(1).max(500)).max(KEYS_MAX).nullish(),
});
const UpdateAnswer = z.looseObject({ ...KeyRecord.shape, key: z.string().describe('As sent') });

const generated = { 200: KeyWithSecret, ...refusalAnswers };
const route = (summary: string) => ({ summary, tags: ['keys'] });

export function keyRoutes(deps: HttpDeps, issuer: KeyIssuer): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    generateRoute(app, deps, issuer);
    serviceAccountRoute(app, deps, issuer);
    updateRoute(app, deps, issuer);
    blockRoutes(app, deps);
    deleteRoute(app, deps);
    regenerateRoutes(app, deps, issuer);
    done();
  };
}

function generateRoute(app: App, deps: HttpDeps, issuer: KeyIssuer): void {
  app.post(
    '/key/generate',
    { schema: { ...route('Generate a virtual key'), body: GenerateBody, response: generated } },
    async (request, reply) => {
      const { key: secret, ...fields } = request.body;
      const command = commandOf(deps, request);
      const { answer, position } = await generateKey(deps, issuer, command, fields, secret ?? null, {
        caller: request.caller,
        route: '/key/generate',
      });
      await takeEffect(deps, reply, position);
      return answer;
    },
  );
}

function serviceAccountRoute(app: App, deps: HttpDeps, issuer: KeyIssuer): void {
  app.post(
    '/key/service-account/generate',
    {
      schema: {
        ...route('Generate a key that belongs to a project and to no person'),
        body: GenerateBody,
        response: generated,
      },
    },
    async (request, reply) => {
      const { key: secret, ...fields } = request.body;
      if (!fields.team_id) {
        const problem = 'team_id is required for service account keys.';
        throw new Refusal('bad_request', { problem }, { param: 'team_id' });
      }
      const command = commandOf(deps, request);
      const owned = { ...fields, user_id: null };
      const { answer, position } = await generateKey(deps, issuer, command, owned, secret ?? null, {
        caller: request.caller,
        route: '/key/service-account/generate',
      });
      await takeEffect(deps, reply, position);
      return answer;
    },
  );
}

function updateRoute(app: App, deps: HttpDeps, issuer: KeyIssuer): void {
  app.post(
    '/key/update',
    {
      schema: {
        ...route('Change the named fields of a key; null clears'),
        body: UpdateBody,
        response: { 200: UpdateAnswer, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { key: name, ...body } = request.body;
      const { key_alias: alias, ...others } = body;
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      const view = await requireKey(deps, { key: name, key_alias: alias });
      // Without a key the alias names it; it is then no new alias.
      const asked: KeyFields = name === undefined ? others : body;
      const fields = changedKeyByPolicy(deps, asked, command.at);
      const outcome = await changeKey(deps, issuer, command, view, fields, request.caller);
      await takeEffect(deps, reply, outcome.position);
      const [record] = await keyRecords(deps.db, [await viewOfKey(deps.db, view.key_id)], deps.now());
      return { ...record!, key: name ?? view.token_hash };
    },
  );
}

function blockRoutes(app: App, deps: HttpDeps): void {
  for (const type of ['block', 'unblock'] as const) {
    const summary =
      type === 'block' ? 'Refuse every call with this key from now on' : 'Serve a blocked key again';
    app.post(
      `/key/${type}`,
      { schema: { ...route(summary), body: KeyBody, response: { 200: KeyRecord, ...refusalAnswers } } },
      async (request, reply) => {
        const { key: name } = request.body;
        if (columnFor(name) === null) {
          throw new Refusal('bad_request', { problem: 'Invalid key format.' }, { param: 'key' });
        }
        await settle(deps, deps.appendedPosition());
        const view = await requireKey(deps, { key: name });
        await requireRightTo(deps.db, request.caller, view, `/key/${type}`);
        const { position } = await onKey(deps, commandOf(deps, request), view, { type });
        await takeEffect(deps, reply, position);
        return keyRecord(await viewOfKey(deps.db, view.key_id), deps.now());
      },
    );
  }
}

function deleteRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/key/delete',
    {
      schema: {
        ...route('Delete keys for ever'),
        body: DeleteBody,
        response: {
          200: z.object({
            deleted_keys: z.array(z.string()).describe('As sent'),
            failed_keys: z.array(z.string()).describe('As sent; there are no such keys'),
          }),
          ...refusalAnswers,
        },
      },
    },
    async (request, reply) => {
      const { keys, key_aliases: aliases } = request.body;
      const names = [...new Set(keys ?? aliases ?? [])];
      if (names.length === 0) {
        const problems = 'keys: send keys or key_aliases with at least one entry';
        throw new Refusal('invalid_input', { problems }, { param: 'keys' });
      }
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      const deleted: string[] = [];
      let position = deps.appendedPosition();
      for (const name of names) {
        const view = await findForDeletion(deps, command, name, keys == null);
        if (view === undefined) continue;
        await requireRightTo(deps.db, request.caller, view, '/key/delete');
        const outcome = await onKey(deps, command, view, { type: 'delete' });
        if (outcome.position > position) position = outcome.position;
        deleted.push(name);
      }
      if (deleted.length === 0) throw new Refusal('key_not_found', {}, { param: 'keys' });
      await takeEffect(deps, reply, position);
      return { deleted_keys: deleted, failed_keys: names.filter((name) => !deleted.includes(name)) };
    },
  );
}

function regenerateRoutes(app: App, deps: HttpDeps, issuer: KeyIssuer): void {
  const regenerate = {
    ...route('Give a key a new secret, with a grace period for the old one if you like'),
    body: RegenerateBody.nullish(),
    response: generated,
  };
  app.post('/key/regenerate', { schema: regenerate }, async (request, reply) => {
    const command = commandOf(deps, request);
    const { answer, position } = await rotateKey(
      deps,
      issuer,
      command,
      request.body?.key,
      request.body ?? {},
      request.caller,
    );
    await takeEffect(deps, reply, position);
    return answer;
  });
  app.post(
    '/key/:key/regenerate',
    { schema: { ...regenerate, params: z.object({ key: z.string().min(1).max(500) }) } },
    async (request, reply) => {
      const command = commandOf(deps, request);
      const { answer, position } = await rotateKey(
        deps,
        issuer,
        command,
        request.params.key,
        request.body ?? {},
        request.caller,
      );
      await takeEffect(deps, reply, position);
      return answer;
    },
  );
}
