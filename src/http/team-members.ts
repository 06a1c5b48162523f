import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { readMemberLimits } from '../domain/extra-limits.ts';
import { NO_MEMBER_LIMITS, PROJECT_ROLES } from '../domain/project.ts';
import { Refusal } from '../errors.ts';
import type { Caller } from './caller.ts';
import { later, requireLead } from './change-team.ts';
import { deleteKeys } from './change-user.ts';
import { type Command, commandOf, hasRun, partOf, takeEffect } from './command.ts';
import type { App, HttpDeps } from './deps.ts';
import { isAdmin, isTeamAdmin } from './permissions.ts';
import { onTenant } from './project-command.ts';
import { Amount, optional, refusalAnswers, Whole } from './schemas.ts';
import { settle } from './settle.ts';
import { MemberBody, memberLimitsFrom } from './team-fields.ts';
import { personNamed, resolveMembers } from './team-people.ts';
import { Membership, membershipsOf } from './team-reads.ts';
import { Team, teamRecord, type TeamRow, teamRows } from './team-view.ts';
import { UserRecord, userRecord, userRows } from './user-view.ts';

/** Who works on a project. */

const BATCH_MAX = 500;
const TeamName = z.object({ team_id: z.string().min(1).max(100) });
const memberLimitFields = {
  max_budget_in_team: optional(Amount),
  budget_duration: optional(z.string().max(50)),
  rpm_limit: optional(Whole),
  tpm_limit: optional(Whole),
};
const Person = z.object({
  user_id: optional(z.string().max(100)),
  user_email: optional(z.string().max(254)),
});
const AddBody = TeamName.extend({
  member: z.union([MemberBody, z.array(MemberBody).min(1).max(BATCH_MAX)]),
  ...memberLimitFields,
});
const Added = z.looseObject({
  ...Team.shape,
  updated_users: z.array(UserRecord),
  updated_team_memberships: z.array(Membership),
});

const route = (summary: string) => ({ summary, tags: ['teams'] });

export function teamMemberRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    addRoute(app, deps);
    bulkAddRoute(app, deps);
    updateRoute(app, deps);
    deleteRoute(app, deps);
    done();
  };
}

function addRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/team/member_add',
    {
      schema: {
        ...route('Add members; who is unknown is registered'),
        body: AddBody,
        response: { 200: Added, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { body, caller } = request;
      const command = commandOf(deps, request);
      const team = await teamLedBy(deps, caller, body.team_id, 'not_found');
      const people = await resolveMembers(deps, command, [body.member].flat(), {
        caller,
        tenantId: team.tenant_id,
      });
      const limits = memberLimitsFrom(body, NO_MEMBER_LIMITS);
      const members = people.map(({ userId, role }) => ({ userId, role, limits }));
      const add = { type: 'add-members', projectId: team.project_id, members } as const;
      const { position } = await onTenant(deps, command, team, add);
      await takeEffect(deps, reply, position);
      return shown(
        deps,
        team.project_id,
        members.map(({ userId }) => userId),
      );
    },
  );
}

async function shown(deps: HttpDeps, projectId: string, userIds: readonly string[]) {
  const [team, users, memberships] = await Promise.all([
    teamRows(deps.db).where('projects.project_id', '=', projectId).executeTakeFirstOrThrow(),
    userRows(deps.db)
      .where('users.user_id', 'in', [...userIds])
      .execute(),
    membershipsOf(deps, [projectId]),
  ]);
  return {
    ...teamRecord(deps, team),
    updated_users: users.map((row) => userRecord(row, deps.now())),
    updated_team_memberships: memberships.filter(({ user_id }) => userIds.includes(user_id)),
  };
}

function bulkAddRoute(app: App, deps: HttpDeps): void {
  const Result = z.object({
    user_id: z.string().nullable(),
    user_email: z.string().nullable(),
    success: z.boolean(),
    error: z.string().nullable(),
  });
  app.post(
    '/team/bulk_member_add',
    {
      schema: {
        ...route('Add many members, each for itself, or every user'),
        body: TeamName.extend({
          members: z.array(MemberBody).max(BATCH_MAX, `at most ${BATCH_MAX}`).nullish(),
          all_users: z.boolean().nullish(),
          ...memberLimitFields,
        }),
        response: {
          200: z.object({
            team_id: z.string(),
            results: z.array(Result),
            total_requested: z.number(),
            successful_additions: z.number(),
            failed_additions: z.number(),
          }),
          ...refusalAnswers,
        },
      },
    },
    async (request, reply) => {
      const { body, caller } = request;
      const command = commandOf(deps, request);
      const team = await teamLedBy(deps, caller, body.team_id, 'not_found');
      const named =
        body.all_users === true ? await everybody(deps, caller, team.tenant_id) : (body.members ?? []);
      if (named.length === 0) {
        throw new Refusal('bad_request', { problem: 'Send members or all_users.' }, { param: 'members' });
      }
      const limits = memberLimitsFrom(body, NO_MEMBER_LIMITS);
      const results: z.output<typeof Result>[] = [];
      let latest = 0n;
      for (const member of named) {
        const about = { user_id: member.user_id ?? null, user_email: member.user_email ?? null };
        try {
          const part = partOf(command, `member ${member.user_id ?? member.user_email ?? ''}`);
          const [person] = await resolveMembers(deps, part, [member], {
            caller,
            tenantId: team.tenant_id,
          });
          const members = [{ ...person!, limits }];
          const add = { type: 'add-members', projectId: team.project_id, members } as const;
          latest = later(latest, (await onTenant(deps, part, team, add)).position);
          results.push({ ...about, user_id: person!.userId, success: true, error: null });
        } catch (error) {
          if (!(error instanceof Refusal)) throw error;
          results.push({ ...about, success: false, error: error.message });
        }
      }
      await takeEffect(deps, reply, latest);
      const successful = results.filter(({ success }) => success).length;
      const counts = { successful_additions: successful, failed_additions: results.length - successful };
      return { team_id: team.project_id, results, total_requested: results.length, ...counts };
    },
  );
}

/** All users there are, for those who are no administrators all members of the organization. */
async function everybody(
  { db }: HttpDeps,
  caller: Caller | null,
  tenantId: string,
): Promise<readonly z.output<typeof MemberBody>[]> {
  const rows = isAdmin(caller)
    ? await db.selectFrom('users').select('user_id').orderBy('user_id').execute()
    : await db
        .selectFrom('members')
        .select('user_id')
        .distinct()
        .where('tenant_id', '=', tenantId)
        .orderBy('user_id')
        .execute();
  return rows.map(({ user_id }) => ({ user_id, role: 'user' }));
}

function updateRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/team/member_update',
    {
      schema: {
        ...route('Change the role and limits of a member'),
        body: TeamName.extend({
          ...Person.shape,
          role: z.enum(PROJECT_ROLES).optional(),
          ...memberLimitFields,
        }),
        response: {
          200: z.object({
            team_id: z.string(),
            user_id: z.string(),
            user_email: z.string().nullable(),
            role: z.string(),
            max_budget_in_team: z.number().nullable(),
            budget_duration: z.string().nullable(),
            budget_reset_at: z.string().nullable(),
            tpm_limit: z.number().nullable(),
            rpm_limit: z.number().nullable(),
          }),
          ...refusalAnswers,
        },
      },
    },
    async (request, reply) => {
      const { body, caller } = request;
      const command = commandOf(deps, request);
      const team = await teamLedBy(deps, caller, body.team_id, 'not_found');
      const userId = await personNamed(deps, body);
      const { role } = body;
      const { position } = await onTenant(deps, command, team, {
        type: 'change-member',
        projectId: team.project_id,
        userId,
        ...(role === undefined ? {} : { role }),
        limits: memberLimitsFrom(body, await limitsNow(deps, team.project_id, userId)),
      });
      await takeEffect(deps, reply, position);
      const { updated_team_memberships: memberships, updated_users: users } = await shown(
        deps,
        team.project_id,
        [userId],
      );
      const { litellm_budget_table: limits, role: now } = memberships[0]!;
      const { max_budget, ...others } = limits;
      const who = { user_id: userId, user_email: users[0]?.user_email ?? null, role: now };
      return { team_id: team.project_id, ...who, max_budget_in_team: max_budget, ...others };
    },
  );
}

async function limitsNow({ db }: HttpDeps, projectId: string, userId: string) {
  const row = await db
    .selectFrom('members')
    .select('limits')
    .where('level', '=', 'project')
    .where('scope_id', '=', projectId)
    .where('user_id', '=', userId)
    .executeTakeFirst();
  return row === undefined ? NO_MEMBER_LIMITS : readMemberLimits(row.limits);
}

function deleteRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/team/member_delete',
    {
      schema: {
        ...route('Remove a member and delete the member’s keys of this team'),
        body: TeamName.extend(Person.shape),
        response: { 200: Team, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { body, caller } = request;
      const command = commandOf(deps, request);
      const team = await teamLedBy(deps, caller, body.team_id, 'bad_request');
      const userId = await personNamed(deps, body);
      const { project_id: projectId } = team;
      await requireMember(deps, command, team, userId);
      const deleted = await deleteKeys(deps, command, (rows) =>
        rows.where('keys.project_id', '=', projectId).where('keys.user_id', '=', userId),
      );
      const { position } = await onTenant(deps, command, team, {
        type: 'remove-members',
        projectId,
        userIds: [userId],
      });
      await takeEffect(deps, reply, later(deleted, position));
      const row = await teamRows(deps.db)
        .where('projects.project_id', '=', projectId)
        .executeTakeFirstOrThrow();
      return teamRecord(deps, row);
    },
  );
}

/** Before any key is deleted. Throws Refusal(not_a_member). */
async function requireMember(deps: HttpDeps, command: Command, team: TeamRow, userId: string): Promise<void> {
  if (team.people.some(({ user_id }) => user_id === userId)) return;
  if (await hasRun(deps.store, `tenant-${team.tenant_id}`, command)) return;
  throw new Refusal('not_a_member', { userId }, { param: 'user_id' });
}

/** Throws Refusal(not_found | bad_request | not_yours). */
async function teamLedBy(
  deps: HttpDeps,
  caller: Caller | null,
  teamId: string,
  missing: 'not_found' | 'bad_request',
): Promise<TeamRow> {
  await settle(deps, deps.appendedPosition());
  const team = await teamRows(deps.db)
    .where('projects.project_id', '=', teamId)
    .where('projects.status', '!=', 'closed')
    .executeTakeFirst();
  const problem = `Team id=${teamId} does not exist in db`;
  const refusal =
    missing === 'not_found'
      ? new Refusal('not_found', { what: 'team' }, { param: 'team_id' })
      : new Refusal('bad_request', { problem }, { param: 'team_id' });
  if (team === undefined) throw refusal;
  requireLead(caller, team, isTeamAdmin(caller, team), refusal);
  return team;
}
