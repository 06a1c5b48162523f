import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { readCredential } from '../credentials.ts';
import { nanosToNumber } from '../domain/money.ts';
import { Refusal } from '../errors.ts';
import { hashSecret } from '../secrets.ts';
import { changeKey, onKey } from './change-key.ts';
import { later } from './change-team.ts';
import { commandOf, partOf, takeEffect } from './command.ts';
import type { App, HttpDeps } from './deps.ts';
import type { KeyIssuer } from './issue-key.ts';
import { KeyRecord, KeyWithSecret, UpdateBody } from './key-fields.ts';
import { changedKeyByPolicy } from './key-policy.ts';
import { keyRecords, keyWithSecret } from './key-record.ts';
import { requireRightTo } from './key-rights.ts';
import { findKey, requireKey, viewOfKey } from './key-target.ts';
import { badLimit, resetOf } from './limit-fields.ts';
import { isTeamAdmin, isTenantAdmin, keyOf } from './permissions.ts';
import { Amount, nanosOf, refusalAnswers } from './schemas.ts';
import { settle } from './settle.ts';
import { rotatedSecret } from './rotate-due.ts';

/** Many keys at once, corrected spend, and the secret that a key got by itself. */

const BATCH_MAX = 500;
const route = (summary: string) => ({ summary, tags: ['keys'] });

export function keyExtraRoutes(deps: HttpDeps, issuer: KeyIssuer): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    bulkRoute(app, deps, issuer);
    resetRoute(app, deps);
    rotatedRoute(app, deps);
    done();
  };
}

function bulkRoute(app: App, deps: HttpDeps, issuer: KeyIssuer): void {
  const Failed = z.object({ key: z.string(), key_info: KeyRecord.nullable(), failed_reason: z.string() });
  app.post(
    '/key/bulk_update',
    {
      schema: {
        ...route('Change many keys, each for itself'),
        body: z.object({ keys: z.array(UpdateBody.required({ key: true })).max(10_000) }),
        response: {
          200: z.object({
            total_requested: z.number(),
            successful_updates: z.array(z.object({ key: z.string(), key_info: KeyRecord })),
            failed_updates: z.array(Failed),
          }),
          ...refusalAnswers,
        },
      },
    },
    async (request, reply) => {
      const { keys } = request.body;
      if (keys.length === 0 || keys.length > BATCH_MAX) {
        const problem = `Send 1 to ${BATCH_MAX} keys, not ${keys.length}.`;
        throw new Refusal('bad_request', { problem }, { param: 'keys' });
      }
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      let position = 0n;
      const changed: { key: string; keyId: string }[] = [];
      const failed: z.output<typeof Failed>[] = [];
      for (const { key: name, ...asked } of keys) {
        const view = await findKey(deps.db, name, command.at);
        try {
          if (view === undefined) throw new Refusal('key_not_found', {}, { param: 'key' });
          const fields = changedKeyByPolicy(deps, asked, command.at);
          const part = partOf(command, view.key_id);
          position = later(
            position,
            (await changeKey(deps, issuer, part, view, fields, request.caller)).position,
          );
          changed.push({ key: name, keyId: view.key_id });
        } catch (error) {
          if (!(error instanceof Refusal)) throw error;
          const [info = null] = view === undefined ? [] : await keyRecords(deps.db, [view], deps.now());
          failed.push({ key: name, key_info: info, failed_reason: error.message });
        }
      }
      await takeEffect(deps, reply, position);
      const views = await Promise.all(changed.map(({ keyId }) => viewOfKey(deps.db, keyId)));
      const records = await keyRecords(deps.db, views, deps.now());
      return {
        total_requested: keys.length,
        successful_updates: changed.map(({ key }, index) => ({ key, key_info: records[index]! })),
        failed_updates: failed,
      };
    },
  );
}

function resetRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/key/:key/reset_spend',
    {
      schema: {
        ...route('Set back the spend that a key is shown with; what was recorded stays'),
        params: z.object({ key: z.string().min(1).max(500) }),
        body: z.object({ reset_to: Amount }),
        response: {
          200: z.object({
            key_hash: z.string(),
            spend: z.number(),
            previous_spend: z.number(),
            max_budget: z.number().nullable(),
            budget_reset_at: z.string().nullable(),
          }),
          ...refusalAnswers,
        },
      },
    },
    async (request, reply) => {
      const { caller, params, body } = request;
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      const view = await requireKey(deps, { key: params.key });
      await requireRightTo(deps.db, caller, view, '/key/info');
      const { tenant_id, project_id } = view;
      const leads =
        project_id === null
          ? isTenantAdmin(caller, tenant_id)
          : isTeamAdmin(caller, { tenant_id, project_id });
      if (!leads) throw new Refusal('not_yours', { problem: 'Only admins of the team can reset its spend.' });
      const toNanos = nanosOf(body.reset_to);
      if (toNanos < 0n) throw badLimit('reset_to', 'must not be negative');
      if (toNanos > view.spend) throw badLimit('reset_to', 'must not be above the current spend');
      if (view.budget_nanos !== null && toNanos > view.budget_nanos) {
        throw badLimit('reset_to', 'must not be above max_budget');
      }
      const { position } = await onKey(deps, command, view, {
        type: 'adjust-spend',
        fromNanos: view.spend,
        toNanos,
      });
      await takeEffect(deps, reply, position);
      const after = await viewOfKey(deps.db, view.key_id);
      return {
        key_hash: view.token_hash,
        spend: nanosToNumber(after.spend),
        previous_spend: nanosToNumber(view.spend),
        max_budget: view.budget_nanos === null ? null : nanosToNumber(view.budget_nanos),
        budget_reset_at: resetOf(view.budget_window, view.zone, deps.now()),
      };
    },
  );
}

function rotatedRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/key/rotated',
    {
      schema: {
        ...route('Ask for the new secret of a key that rotated by itself, with the old one while it works'),
        body: z.unknown(),
        response: { 200: KeyWithSecret, ...refusalAnswers },
      },
    },
    async (request) => {
      const key = keyOf(request.caller);
      const used = hashSecret(readCredential(request.raw.rawHeaders, deps.keyHeader));
      const secret = key === null || key.old_token_hash !== used ? null : rotatedSecret(deps, key);
      if (key === null || secret === null) throw new Refusal('rotation_pending');
      return keyWithSecret(await viewOfKey(deps.db, key.key_id), secret, deps.now());
    },
  );
}
