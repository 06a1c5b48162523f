import type { Decider } from './decider.ts';
import { unreachable } from './decider.ts';
import type { Environment, Limits } from './limits.ts';
import type { Terms } from './plan.ts';
import { Refusal } from '../errors.ts';

/**
 * A tenant is the agency's customer: its contract and its projects. One stream holds all three,
 * because "may this project be opened under this contract" must be decided in one place.
 * The agency's own work runs under a tenant without a contract, which is never invoiced.
 */

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
export type ContractSigned = {
  readonly type: 'contract.signed';
  readonly data: {
    readonly tenantId: string;
    readonly contractId: string;
    /** Instant from which the terms hold. */
    readonly effectiveFrom: string;
    /** The whole agreement; no reference to a plan that could change. */
    readonly terms: Terms;
  };
};
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
export type ProjectBlocked = {
  readonly type: 'project.blocked';
  readonly data: { readonly projectId: string };
};
export type ProjectUnblocked = {
  readonly type: 'project.unblocked';
  readonly data: { readonly projectId: string };
};
export type TenantEvent =
  | TenantOnboarded
  | TenantSuspended
  | TenantReinstated
  | ContractSigned
  | ProjectOpened
  | ProjectBlocked
  | ProjectUnblocked;

export interface NewProject {
  readonly projectId: string;
  readonly environments: readonly Environment[];
  readonly limits: Limits | null;
}

export type TenantCommand =
  | {
      readonly type: 'onboard';
      readonly tenant: TenantOnboarded['data'];
      /** Null only for the agency's own tenant. */
      readonly contract: Omit<ContractSigned['data'], 'tenantId'> | null;
      readonly projects: readonly NewProject[];
    }
  | { readonly type: 'open-project'; readonly project: NewProject }
  | { readonly type: 'block-project'; readonly projectId: string }
  | { readonly type: 'unblock-project'; readonly projectId: string }
  | { readonly type: 'suspend'; readonly reason: string }
  | { readonly type: 'reinstate' };

export interface ProjectState {
  readonly status: 'open' | 'blocked';
  readonly environments: readonly Environment[];
}

export type TenantState =
  | { readonly status: 'absent' }
  | {
      readonly status: 'active' | 'suspended';
      readonly tenantId: string;
      readonly agencyId: string;
      readonly terms: Terms | null;
      readonly projects: ReadonlyMap<string, ProjectState>;
    };

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
  if (state.status === 'absent') throw new Refusal('not_found', { what: 'tenant' });
  const { tenantId } = state;
  switch (command.type) {
    case 'open-project':
      if (state.status !== 'active') throw new Refusal('tenant_not_active', { status: state.status });
      if (state.projects.has(command.project.projectId)) {
        throw new Refusal('project_exists', { projectId: command.project.projectId }, { param: 'team_id' });
      }
      return [{ type: 'project.opened', data: { tenantId, ...command.project } }];
    case 'block-project':
      return projectOf(state, command.projectId).status === 'blocked'
        ? []
        : [{ type: 'project.blocked', data: { projectId: command.projectId } }];
    case 'unblock-project':
      return projectOf(state, command.projectId).status === 'open'
        ? []
        : [{ type: 'project.unblocked', data: { projectId: command.projectId } }];
    case 'suspend':
      return state.status === 'suspended'
        ? []
        : [{ type: 'tenant.suspended', data: { tenantId, reason: command.reason } }];
    case 'reinstate':
      return state.status === 'active' ? [] : [{ type: 'tenant.reinstated', data: { tenantId } }];
    default:
      return unreachable(command);
  }
}

function onboard(command: Extract<TenantCommand, { type: 'onboard' }>): readonly TenantEvent[] {
  const { tenantId } = command.tenant;
  const seen = new Set<string>();
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

function projectOf(state: Exclude<TenantState, { status: 'absent' }>, projectId: string): ProjectState {
  const project = state.projects.get(projectId);
  if (project === undefined) throw new Refusal('not_found', { what: 'project' }, { param: 'team_id' });
  return project;
}

function evolve(state: TenantState, event: TenantEvent): TenantState {
  if (event.type === 'tenant.onboarded') {
    const { tenantId, agencyId } = event.data;
    return { status: 'active', tenantId, agencyId, terms: null, projects: new Map() };
  }
  if (state.status === 'absent') return state;
  switch (event.type) {
    case 'tenant.suspended':
      return { ...state, status: 'suspended' };
    case 'tenant.reinstated':
      return { ...state, status: 'active' };
    case 'contract.signed':
      return { ...state, terms: event.data.terms };
    case 'project.opened': {
      const { projectId, environments } = event.data;
      return { ...state, projects: new Map(state.projects).set(projectId, { status: 'open', environments }) };
    }
    case 'project.blocked':
      return withProjectStatus(state, event.data.projectId, 'blocked');
    case 'project.unblocked':
      return withProjectStatus(state, event.data.projectId, 'open');
    default:
      return unreachable(event);
  }
}

function withProjectStatus(
  state: Exclude<TenantState, { status: 'absent' }>,
  projectId: string,
  status: ProjectState['status'],
): TenantState {
  const project = state.projects.get(projectId);
  if (project === undefined) return state;
  return { ...state, projects: new Map(state.projects).set(projectId, { ...project, status }) };
}
