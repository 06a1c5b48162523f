import { describe, test } from 'vitest';
import { NO_MEMBER_LIMITS, NO_PROJECT_SETTINGS } from '../../src/domain/project.ts';
import { tenant, type TenantEvent } from '../../src/domain/tenant.ts';
import {
  limits,
  projectMemberAdded,
  projectOpened,
  tenantMemberAdded,
  tenantOnboarded,
} from '../support/events.ts';
import { specification } from '../support/specification.ts';

const given = specification(tenant);
const history: readonly TenantEvent[] = [tenantOnboarded(), projectOpened()];
const projectId = 'prj_1';
const userId = 'usr_1';
const member = { userId, role: 'user', limits: NO_MEMBER_LIMITS } as const;
const added = projectMemberAdded();
const joined = tenantMemberAdded();

describe('a member of a project', () => {
  test('is added once, with others in one go or not at all', () => {
    const second = { ...member, userId: 'usr_2' };
    given(...history)
      .when({ type: 'add-members', projectId, members: [member, second] })
      .gives(added, projectMemberAdded({ userId: 'usr_2' }));
    given(...history, added)
      .when({ type: 'add-members', projectId, members: [second, member] })
      .refuses('member_exists', { userId });
  });

  test('changes in what is named, and leaves', () => {
    const change = { type: 'change-member', projectId, userId, role: 'admin' } as const;
    given(...history, added)
      .when(change)
      .gives({ type: 'project.member-changed', data: { projectId, ...member, role: 'admin' } })
      .andNothingWhenRepeated();
    given(...history, added)
      .when({ type: 'remove-members', projectId, userIds: [userId] })
      .gives({ type: 'project.member-removed', data: { projectId, userId } });
    given(...history)
      .when(change)
      .refuses('not_a_member', { userId });
  });
});

describe('a project', () => {
  test('changes its limits and settings, and doing it twice changes nothing', () => {
    const narrow = limits({ requestsPerMinute: 1 });
    const settings = { ...NO_PROJECT_SETTINGS, options: { metadata: { a: 1 } } };
    given(...history)
      .when({ type: 'change-project', projectId, limits: narrow, settings: { options: settings.options } })
      .gives({ type: 'project.changed', data: { projectId, limits: narrow, settings } })
      .andNothingWhenRepeated();
  });

  test('that is closed is gone, and its id stays taken', () => {
    const closed: TenantEvent = { type: 'project.closed', data: { projectId } };
    given(...history)
      .when({ type: 'close-project', projectId })
      .gives(closed);
    given(...history, closed)
      .when({ type: 'close-project', projectId })
      .refuses('not_found', { what: 'team' });
    given(...history, closed)
      .when({ type: 'open-project', project: { projectId, environments: ['production'], limits: null } })
      .refuses('project_exists');
  });
});

describe('a member of a tenant', () => {
  test('is added once, changes and leaves', () => {
    const person = { userId, role: 'org_admin', budget: null } as const;
    given(...history)
      .when({ type: 'add-tenant-members', members: [person] })
      .gives(joined);
    given(...history, joined)
      .when({ type: 'add-tenant-members', members: [person] })
      .refuses('organization_member_exists', { userId });
    const budget = { nanos: 5n, window: '1d' };
    given(...history, joined)
      .when({ type: 'change-tenant-member', userId, budget })
      .gives({ type: 'tenant.member-changed', data: { tenantId: 'ten_1', ...person, budget } })
      .andNothingWhenRepeated();
    given(...history, joined)
      .when({ type: 'remove-tenant-members', userIds: [userId] })
      .gives({ type: 'tenant.member-removed', data: { tenantId: 'ten_1', userId } });
  });
});

describe('a tenant that is closed', () => {
  test('takes no command any more', () => {
    const closed: TenantEvent = { type: 'tenant.closed', data: { tenantId: 'ten_1' } };
    given(...history)
      .when({ type: 'close' })
      .gives(closed);
    given(...history, closed)
      .when({ type: 'reinstate' })
      .refuses('not_found');
    given(...history, closed)
      .when({ type: 'block-project', projectId })
      .refuses('not_found');
  });
});
