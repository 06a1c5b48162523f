import { expect, test } from 'vitest';
import { projects } from '../../projections/projects.ts';
import { NO_PROJECT_SETTINGS } from '../../src/domain/project.ts';
import {
  AT,
  limits,
  projectBlocked,
  projectChanged,
  projectOpened,
  projectUnblocked,
} from '../support/events.ts';
import { project } from '../support/project.ts';

test('a project is open in its environments, with limits left to the contract', () => {
  expect(project(projects, [projectOpened()])).toEqual([
    {
      project_id: 'prj_1',
      tenant_id: 'ten_1',
      agency_id: 'age_1',
      status: 'open',
      environments: ['production', 'staging'],
      limits: null,
      budget_id: null,
      member_permissions: null,
      member_limits: { requestsPerMinute: null, tokensPerMinute: null, budget: null },
      extra: { softBudgetNanos: null, budgets: [], byModel: {} },
      options: {},
      spend_adjusted: 0n,
      adjusted_at: null,
      adjusted_position: null,
      adjusted_to: null,
      opened_at: AT,
      updated_at: AT,
      closed_at: null,
      closed_by: null,
    },
  ]);
});

test('limits of its own keep their budget exact', () => {
  const opened = projectOpened({ limits: limits({ budget: { nanos: 10n ** 19n + 1n, window: '1mo' } }) });
  expect(project(projects, [opened])).toMatchObject([
    { limits: { requestsPerMinute: 60, budget: { nanos: '10000000000000000001', window: '1mo' } } },
  ]);
});

test('it is blocked and unblocked', () => {
  expect(project(projects, [projectOpened(), projectBlocked()])).toMatchObject([{ status: 'blocked' }]);
  expect(project(projects, [projectOpened(), projectBlocked(), projectUnblocked()])).toMatchObject([
    { status: 'open' },
  ]);
});

test('a change replaces limits and settings, and a closed one stays with who closed it', () => {
  const settings = { ...NO_PROJECT_SETTINGS, budgetId: 'bud_1', memberPermissions: ['/key/info'] };
  const changed = projectChanged({ limits: limits({ requestsPerMinute: 1 }), settings });
  const rows = project(projects, [
    projectOpened(),
    changed,
    { type: 'project.closed', data: { projectId: 'prj_1' } },
  ]);
  expect(rows).toMatchObject([
    {
      limits: { requestsPerMinute: 1 },
      budget_id: 'bud_1',
      member_permissions: ['/key/info'],
      status: 'closed',
      closed_at: AT,
      closed_by: 'default_user_id',
    },
  ]);
});

test('spend that was set by hand is remembered with its place in the log', () => {
  const adjusted = {
    type: 'project.spend-adjusted',
    data: { projectId: 'prj_1', byNanos: -5n, fromNanos: 5n, toNanos: 0n },
  } as const;
  expect(project(projects, [projectOpened(), adjusted, adjusted])).toMatchObject([
    { spend_adjusted: -10n, adjusted_to: 0n, adjusted_position: 3n },
  ]);
});
