import { unreachable } from './decider.ts';
import { type ExtraLimits, NO_EXTRA } from './extra-limits.ts';
import { canonicalJson, type JsonObject } from './json.ts';
import type { Budget, Environment, Limits } from './limits.ts';
import { memberOf, type Members, withMember, withoutMember } from './members.ts';
import { Refusal } from '../errors.ts';

/**
 * A client project of a tenant and the people who work on it. Its events are in the tenant's stream,
 * whose decider (tenant.ts) hands over what concerns one project.
 */

export const PROJECT_ROLES = ['admin', 'user'] as const;
export type ProjectRole = (typeof PROJECT_ROLES)[number];

/** What one member may use through keys of the project. Null: the project's default, else unlimited. */
export interface MemberLimits {
  readonly requestsPerMinute: number | null;
  readonly tokensPerMinute: number | null;
  readonly budget: Budget | null;
}

export const NO_MEMBER_LIMITS: MemberLimits = {
  requestsPerMinute: null,
  tokensPerMinute: null,
  budget: null,
};

export interface ProjectSettings {
  /** Counts how often it was named; the name itself stands beside the log. */
  readonly nameVersion: number;
  /** The shared budget whose values its limits carry; null for none. */
  readonly budgetId: string | null;
  /** Key routes that members who are no admins may call; null: what everybody may. */
  readonly memberPermissions: readonly string[] | null;
  /** For members without limits of their own. */
  readonly memberLimits: MemberLimits;
  readonly extra: ExtraLimits;
  /** LiteLLM fields that are kept and echoed. */
  readonly options: JsonObject;
}

export const NO_PROJECT_SETTINGS: ProjectSettings = {
  nameVersion: 1,
  budgetId: null,
  memberPermissions: null,
  memberLimits: NO_MEMBER_LIMITS,
  extra: NO_EXTRA,
  options: {},
};

export interface ProjectMember {
  readonly userId: string;
  readonly role: ProjectRole;
  readonly limits: MemberLimits;
}

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type ProjectOpened = {
  readonly type: 'project.opened';
  readonly data: {
    readonly tenantId: string;
    readonly projectId: string;
    readonly environments: readonly Environment[];
    /** Limits of all keys of the project together; null leaves them to the contract. */
    readonly limits: Limits | null;
  };
};
export type ProjectChanged = {
  readonly type: 'project.changed';
  readonly data: {
    readonly projectId: string;
    readonly limits: Limits | null;
    readonly settings: ProjectSettings;
  };
};
type ProjectOnly<T extends string> = { readonly type: T; readonly data: { readonly projectId: string } };
export type ProjectBlocked = ProjectOnly<'project.blocked'>;
export type ProjectUnblocked = ProjectOnly<'project.unblocked'>;
export type ProjectClosed = ProjectOnly<'project.closed'>;
export type ProjectMemberAdded = {
  readonly type: 'project.member-added';
  readonly data: { readonly projectId: string } & ProjectMember;
};
export type ProjectMemberChanged = {
  readonly type: 'project.member-changed';
  readonly data: { readonly projectId: string } & ProjectMember;
};
export type ProjectMemberRemoved = {
  readonly type: 'project.member-removed';
  readonly data: { readonly projectId: string; readonly userId: string };
};
export type ProjectEvent =
  | ProjectOpened
  | ProjectChanged
  | ProjectBlocked
  | ProjectUnblocked
  | ProjectClosed
  | ProjectMemberAdded
  | ProjectMemberChanged
  | ProjectMemberRemoved;

export type ProjectCommand =
  | { readonly type: 'block-project'; readonly projectId: string }
  | { readonly type: 'unblock-project'; readonly projectId: string }
  | {
      readonly type: 'change-project';
      readonly projectId: string;
      /** Left out: as it is. */
      readonly limits?: Limits | null;
      readonly settings?: Partial<ProjectSettings>;
      readonly blocked?: boolean;
    }
  | { readonly type: 'close-project'; readonly projectId: string }
  | { readonly type: 'add-members'; readonly projectId: string; readonly members: readonly ProjectMember[] }
  | {
      readonly type: 'change-member';
      readonly projectId: string;
      readonly userId: string;
      readonly role?: ProjectRole;
      readonly limits?: Partial<MemberLimits>;
    }
  | { readonly type: 'remove-members'; readonly projectId: string; readonly userIds: readonly string[] };

export interface ProjectState {
  readonly status: 'open' | 'blocked' | 'closed';
  readonly environments: readonly Environment[];
  readonly limits: Limits | null;
  readonly settings: ProjectSettings;
  /** By user id. */
  readonly members: Members<ProjectMember>;
}

/** Throws Refusal(not_found | member_exists | not_a_member). */
export function decideProject(
  command: ProjectCommand,
  project: ProjectState | undefined,
): readonly ProjectEvent[] {
  const { projectId } = command;
  if (project === undefined || project.status === 'closed') {
    throw new Refusal('not_found', { what: 'team' }, { param: 'team_id' });
  }
  switch (command.type) {
    case 'block-project':
      return blockChange(projectId, true, project);
    case 'unblock-project':
      return blockChange(projectId, false, project);
    case 'change-project':
      return [...changes(command, project), ...blockChange(projectId, command.blocked, project)];
    case 'close-project':
      return [{ type: 'project.closed', data: { projectId } }];
    case 'add-members':
      return command.members.map((member) => {
        if (project.members.has(member.userId)) throw new Refusal('member_exists', { userId: member.userId });
        return { type: 'project.member-added', data: { projectId, ...member } };
      });
    case 'change-member': {
      const member = memberOf(project.members, command.userId);
      const changed = {
        ...member,
        role: command.role ?? member.role,
        limits: { ...member.limits, ...command.limits },
      };
      if (canonicalJson(changed) === canonicalJson(member)) return [];
      return [{ type: 'project.member-changed', data: { projectId, ...changed } }];
    }
    case 'remove-members':
      return command.userIds.map((userId) => ({
        type: 'project.member-removed',
        data: { projectId, userId: memberOf(project.members, userId).userId },
      }));
    default:
      return unreachable(command);
  }
}

function changes(
  command: Extract<ProjectCommand, { type: 'change-project' }>,
  project: ProjectState,
): readonly ProjectEvent[] {
  const before = { limits: project.limits, settings: project.settings };
  const after = {
    limits: command.limits === undefined ? project.limits : command.limits,
    settings: { ...project.settings, ...command.settings },
  };
  if (canonicalJson(after) === canonicalJson(before)) return [];
  return [{ type: 'project.changed', data: { projectId: command.projectId, ...after } }];
}

function blockChange(
  projectId: string,
  blocked: boolean | undefined,
  project: ProjectState,
): readonly ProjectEvent[] {
  if (blocked === undefined || blocked === (project.status === 'blocked')) return [];
  return [{ type: blocked ? 'project.blocked' : 'project.unblocked', data: { projectId } }];
}

/** Total: events of a project that was never opened leave undefined. */
export function evolveProject(
  project: ProjectState | undefined,
  event: ProjectEvent,
): ProjectState | undefined {
  if (event.type === 'project.opened') {
    const { environments, limits } = event.data;
    return { status: 'open', environments, limits, settings: NO_PROJECT_SETTINGS, members: new Map() };
  }
  if (project === undefined) return undefined;
  switch (event.type) {
    case 'project.changed':
      return { ...project, limits: event.data.limits, settings: event.data.settings };
    case 'project.blocked':
      return { ...project, status: 'blocked' };
    case 'project.unblocked':
      return { ...project, status: 'open' };
    case 'project.closed':
      return { ...project, status: 'closed', members: new Map() };
    case 'project.member-added':
    case 'project.member-changed': {
      const { userId, role, limits } = event.data;
      return { ...project, members: withMember(project.members, { userId, role, limits }) };
    }
    case 'project.member-removed':
      return { ...project, members: withoutMember(project.members, event.data.userId) };
    default:
      return unreachable(event);
  }
}
