import type { Decider } from './decider.ts';
import { unreachable } from './decider.ts';
import { type ExtraLimits, NO_EXTRA } from './extra-limits.ts';
import { canonicalJson, type JsonObject } from './json.ts';
import { requireRoom } from './key-rules.ts';
import type { Budget, Environment, Limits } from './limits.ts';
import { memberOf, type Members, withMember, withoutMember } from './members.ts';
import type { Agreed, Terms } from './plan.ts';
import {
  type ContractCommand,
  type ContractEvent,
  type ContractSigned,
  type ContractState,
  decideContract,
  evolveContract,
  NO_CONTRACT,
} from './tenant-contract.ts';
import {
  decideProject,
  evolveProject,
  type ProjectCommand,
  type ProjectEvent,
  type ProjectState,
} from './project.ts';
import { Refusal } from '../errors.ts';

/**
 * A tenant is the agency's customer: its contract and its projects. One stream holds all three,
 * because "may this project be opened under this contract" must be decided in one place.
 * The agency's own work runs under a tenant without a contract, which is never invoiced.
 */

export const TENANT_ROLES = ['org_admin', 'internal_user', 'internal_user_viewer'] as const;
export type TenantRole = (typeof TENANT_ROLES)[number];

export interface TenantMember {
  readonly userId: string;
  readonly role: TenantRole;
  /** What the member may spend through keys of the tenant; null is unlimited. */
  readonly budget: Budget | null;
}

/** What is agreed beside the contract. Limits hold together with the contract's. */
export interface TenantSettings {
  readonly limits: Limits | null;
  readonly extra: ExtraLimits;
  /** The shared budget whose values its limits carry; null for none. */
  readonly budgetId: string | null;
  /** Counts the versions of the contact record. */
  readonly contactVersion: number;
  /** LiteLLM fields that are kept and echoed. */
  readonly options: JsonObject;
}

const NO_TENANT_SETTINGS: TenantSettings = {
  limits: null,
  extra: NO_EXTRA,
  budgetId: null,
  contactVersion: 0,
  options: {},
};

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type TenantOnboarded = {
  readonly type: 'tenant.onboarded';
  readonly data: {
    readonly tenantId: string;
    readonly agencyId: string;
    /** True for the agency's own tenant. */
    readonly own: boolean;
    /** Version of the contact record (name, address, VAT id) that was given. */
    readonly contactVersion: number;
  };
};
export type TenantSuspended = {
  readonly type: 'tenant.suspended';
  readonly data: { readonly tenantId: string; readonly reason: string };
};
export type TenantReinstated = {
  readonly type: 'tenant.reinstated';
  readonly data: { readonly tenantId: string };
};
export type TenantChanged = {
  readonly type: 'tenant.changed';
  readonly data: { readonly tenantId: string; readonly settings: TenantSettings };
};
/** Final: its keys are deleted; what it used stays and is still invoiced. */
export type TenantClosed = { readonly type: 'tenant.closed'; readonly data: { readonly tenantId: string } };
export type TenantMemberAdded = {
  readonly type: 'tenant.member-added';
  readonly data: { readonly tenantId: string } & TenantMember;
};
export type TenantMemberChanged = {
  readonly type: 'tenant.member-changed';
  readonly data: { readonly tenantId: string } & TenantMember;
};
export type TenantMemberRemoved = {
  readonly type: 'tenant.member-removed';
  readonly data: { readonly tenantId: string; readonly userId: string };
};
export type TenantEvent =
  | TenantOnboarded
  | TenantChanged
  | TenantSuspended
  | TenantReinstated
  | TenantClosed
  | TenantMemberAdded
  | TenantMemberChanged
  | TenantMemberRemoved
  | ContractEvent
  | ProjectEvent;

export interface NewProject {
  readonly projectId: string;
  readonly environments: readonly Environment[];
  readonly limits: Limits | null;
}

export type TenantCommand =
  | {
      readonly type: 'onboard';
      readonly tenant: TenantOnboarded['data'];
      /** Null only for tenants that are the agency's own and never invoiced. */
      readonly contract: Omit<ContractSigned['data'], 'tenantId'> | null;
      readonly projects: readonly NewProject[];
    }
  | { readonly type: 'open-project'; readonly project: NewProject }
  | { readonly type: 'change'; readonly settings: Partial<TenantSettings> }
  | { readonly type: 'suspend'; readonly reason: string }
  | { readonly type: 'reinstate' }
  | { readonly type: 'close' }
  | { readonly type: 'add-tenant-members'; readonly members: readonly TenantMember[] }
  | {
      readonly type: 'change-tenant-member';
      readonly userId: string;
      readonly role?: TenantRole;
      readonly budget?: Budget | null;
    }
  | { readonly type: 'remove-tenant-members'; readonly userIds: readonly string[] }
  | ContractCommand
  | ProjectCommand;

export type TenantState =
  | { readonly status: 'absent' }
  | {
      readonly status: 'active' | 'suspended' | 'closed';
      readonly tenantId: string;
      readonly agencyId: string;
      /** Of the contract that keys follow; null without one. */
      readonly terms: Terms | null;
      readonly agreed: Agreed | null;
      readonly contract: ContractState;
      readonly settings: TenantSettings;
      readonly projects: ReadonlyMap<string, ProjectState>;
      /** By user id. */
      readonly members: Members<TenantMember>;
    };

type KnownTenant = Exclude<TenantState, { status: 'absent' }>;

export const tenant: Decider<TenantCommand, TenantState, TenantEvent> = {
  initial: { status: 'absent' },
  decide,
  evolve,
};

function decide(command: TenantCommand, state: TenantState): readonly TenantEvent[] {
  if (command.type === 'onboard') {
    if (state.status !== 'absent') throw new Refusal('tenant_exists');
    return onboard(command);
  }
  if (state.status === 'absent' || state.status === 'closed') {
    throw new Refusal('not_found', { what: 'tenant' });
  }
  const { tenantId } = state;
  switch (command.type) {
    case 'open-project':
      if (state.status !== 'active') throw new Refusal('tenant_not_active', { status: state.status });
      if (state.projects.has(command.project.projectId)) {
        throw new Refusal('project_exists', { projectId: command.project.projectId }, { param: 'team_id' });
      }
      requireRoom('projects_max', state.terms?.keyRules?.projectsMax, openProjects(state) + 1);
      return [{ type: 'project.opened', data: { tenantId, ...command.project } }];
    case 'change': {
      const settings = { ...state.settings, ...command.settings };
      if (canonicalJson(settings) === canonicalJson(state.settings)) return [];
      return [{ type: 'tenant.changed', data: { tenantId, settings } }];
    }
    case 'suspend':
      return state.status === 'suspended'
        ? []
        : [{ type: 'tenant.suspended', data: { tenantId, reason: command.reason } }];
    case 'reinstate':
      return state.status === 'active' ? [] : [{ type: 'tenant.reinstated', data: { tenantId } }];
    case 'close':
      return [{ type: 'tenant.closed', data: { tenantId } }];
    case 'agree':
    case 'apply-contract':
      return decideContract(command, state.contract, tenantId, state.status === 'suspended');
    case 'add-tenant-members':
    case 'change-tenant-member':
    case 'remove-tenant-members':
      return decideMembers(command, state);
    default:
      return decideProject(command, state.projects.get(command.projectId));
  }
}

function openProjects({ projects }: KnownTenant): number {
  return [...projects.values()].filter(({ status }) => status !== 'closed').length;
}

type MemberCommand = Extract<
  TenantCommand,
  { type: 'add-tenant-members' | 'change-tenant-member' | 'remove-tenant-members' }
>;

function decideMembers(command: MemberCommand, state: KnownTenant): readonly TenantEvent[] {
  const { tenantId } = state;
  switch (command.type) {
    case 'add-tenant-members':
      return command.members.map((member) => {
        const { userId } = member;
        if (state.members.has(userId)) throw new Refusal('organization_member_exists', { userId });
        return { type: 'tenant.member-added', data: { tenantId, ...member } };
      });
    case 'change-tenant-member': {
      const member = memberOf(state.members, command.userId);
      const { role = member.role, budget = member.budget } = command;
      if (canonicalJson({ role, budget }) === canonicalJson({ role: member.role, budget: member.budget })) {
        return [];
      }
      return [{ type: 'tenant.member-changed', data: { tenantId, userId: member.userId, role, budget } }];
    }
    case 'remove-tenant-members':
      return command.userIds.map((userId) => ({
        type: 'tenant.member-removed',
        data: { tenantId, userId: memberOf(state.members, userId).userId },
      }));
    default:
      return unreachable(command);
  }
}

function onboard(command: Extract<TenantCommand, { type: 'onboard' }>): readonly TenantEvent[] {
  const { tenantId } = command.tenant;
  const seen = new Set<string>();
  const rules = command.contract?.terms.keyRules;
  requireRoom('projects_max', rules?.projectsMax, command.projects.length);
  requireRoom(
    'keys_max',
    rules?.keysMax,
    command.projects.flatMap(({ environments }) => environments).length,
  );
  for (const { projectId } of command.projects) {
    if (seen.has(projectId)) throw new Refusal('project_exists', { projectId }, { param: 'projects' });
    seen.add(projectId);
  }
  return [
    { type: 'tenant.onboarded', data: command.tenant },
    ...(command.contract === null
      ? []
      : [{ type: 'contract.signed', data: { tenantId, ...command.contract } } as const]),
    ...command.projects.map(
      (project) => ({ type: 'project.opened', data: { tenantId, ...project } }) as const,
    ),
  ];
}

function evolve(state: TenantState, event: TenantEvent): TenantState {
  if (event.type === 'tenant.onboarded') {
    const { tenantId, agencyId, contactVersion } = event.data;
    const settings = { ...NO_TENANT_SETTINGS, contactVersion };
    const nothing = { terms: null, agreed: null, projects: new Map(), members: new Map() };
    return { status: 'active', tenantId, agencyId, settings, contract: NO_CONTRACT, ...nothing };
  }
  if (state.status === 'absent') return state;
  switch (event.type) {
    case 'tenant.changed':
      return { ...state, settings: event.data.settings };
    case 'tenant.suspended':
      return { ...state, status: 'suspended' };
    case 'tenant.reinstated':
      return { ...state, status: 'active' };
    case 'tenant.closed':
      return { ...state, status: 'closed', members: new Map() };
    case 'contract.signed':
    case 'contract.amended':
    case 'contract.ended':
    case 'contract.applied': {
      const contract = evolveContract(state.contract, event);
      const { terms = null, agreed = null } = contract.applied ?? {};
      return { ...state, contract, terms, agreed };
    }
    case 'tenant.member-added':
    case 'tenant.member-changed': {
      const { userId, role, budget } = event.data;
      return { ...state, members: withMember(state.members, { userId, role, budget }) };
    }
    case 'tenant.member-removed':
      return { ...state, members: withoutMember(state.members, event.data.userId) };
    default: {
      const { projectId } = event.data;
      const project = evolveProject(state.projects.get(projectId), event);
      if (project === undefined) return state;
      return { ...state, projects: new Map(state.projects).set(projectId, project) };
    }
  }
}
