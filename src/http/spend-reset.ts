import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { sql } from 'kysely';
import { z } from 'zod';
import { teamSpend } from '../domain/team-spend.ts';
import { transact } from '../transact.ts';
import { onKey } from './change-key.ts';
import { later } from './change-team.ts';
import { type Command, commandOf, hasRun, metaFor, takeEffect } from './command.ts';
import type { HttpDeps } from './deps.ts';
import { keyViews, type KeyView } from './read.ts';
import { refusalAnswers } from './schemas.ts';
import { settle } from './settle.ts';
import { teamRows, type TeamRow } from './team-view.ts';

/** So many streams are written at once. */
const AT_ONCE = 16;

export function spendResetRoute(deps: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.post(
      '/global/spend/reset',
      {
        schema: {
          summary:
            'Set back what all keys and teams are shown with and what their budgets count; for the master key only',
          tags: ['spend'],
          body: z.unknown(),
          response: {
            200: z.object({ message: z.string(), status: z.literal('success') }),
            ...refusalAnswers,
          },
        },
      },
      async (request, reply) => {
        const command = commandOf(deps, request);
        await settle(deps, deps.appendedPosition());
        const position = await resetAll(deps, command);
        await takeEffect(deps, reply, position);
        return {
          message: 'Spend for all API Keys and Teams reset successfully',
          status: 'success' as const,
        };
      },
    );
    done();
  };
}

/**
 * Every key and team has an event of its own, so that its history says why it spends anew. When the
 * request ends half-way, sending it again resets the rest.
 */
async function resetAll(deps: HttpDeps, command: Command): Promise<bigint> {
  const keys = await keyViews(deps.db)
    .where('keys.status', '!=', 'deleted')
    .where(sql<boolean>`coalesce(spend_totals.price_nanos, 0) + keys.spend_adjusted <> 0`)
    .execute();
  const teams = await teamRows(deps.db)
    .where('projects.status', '!=', 'closed')
    .where(sql<boolean>`coalesce(spend_totals.price_nanos, 0) + projects.spend_adjusted <> 0`)
    .execute();
  let position = deps.appendedPosition();
  const tasks = [
    ...keys.map((view) => () => resetKey(deps, command, view)),
    ...teams.map((team) => () => resetTeam(deps, command, team)),
  ];
  for (let i = 0; i < tasks.length; i += AT_ONCE) {
    const done = await Promise.all(tasks.slice(i, i + AT_ONCE).map((task) => task()));
    position = done.reduce(later, position);
  }
  return position;
}

/** A repeated request changes nothing that was spent after its first time. */
async function resetKey(deps: HttpDeps, command: Command, view: KeyView): Promise<bigint> {
  if (await hasRun(deps.store, `key-${view.key_id}`, command)) return 0n;
  const change = { type: 'adjust-spend', fromNanos: view.spend, toNanos: 0n } as const;
  return (await onKey(deps, command, view, change)).position;
}

async function resetTeam(deps: HttpDeps, command: Command, team: TeamRow): Promise<bigint> {
  const stream = `team-spend-${team.project_id}`;
  if (await hasRun(deps.store, stream, command)) return 0n;
  const meta = metaFor(command, { agencyId: team.agency_id, tenantId: team.tenant_id });
  const change = { projectId: team.project_id, fromNanos: team.spend, toNanos: 0n };
  return (await transact(deps.store, teamSpend, stream, change, meta, { input: command.input })).position;
}
