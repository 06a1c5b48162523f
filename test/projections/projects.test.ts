import { expect, test } from 'vitest';
import { projects } from '../../projections/projects.ts';
import { AT, limits, projectBlocked, projectOpened, projectUnblocked } from '../support/events.ts';
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
      opened_at: AT,
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
