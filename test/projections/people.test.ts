import { describe, expect, test } from 'vitest';
import { budgets } from '../../projections/budgets.ts';
import { customers } from '../../projections/customers.ts';
import { invitations } from '../../projections/invitations.ts';
import { members } from '../../projections/members.ts';
import { tags } from '../../projections/tags.ts';
import { users } from '../../projections/users.ts';
import { NO_EXTRA } from '../../src/domain/extra-limits.ts';
import type { DomainEvent } from '../../src/events.ts';
import {
  AT,
  budgetDefined,
  customerRegistered,
  invitationIssued,
  limits,
  oneOfEach,
  projectMemberAdded,
  recordedAll,
  tagDefined,
  tenantMemberAdded,
  userRegistered,
} from '../support/events.ts';
import { project } from '../support/project.ts';

describe('users', () => {
  test('have their role, limits and shared budget, exact', () => {
    const budget = { nanos: 10n ** 19n + 1n, window: '30d' };
    const extra = { ...NO_EXTRA, softBudgetNanos: 3n, budgets: [{ nanos: 5n, window: '30s' }] };
    const made = userRegistered({ limits: limits({ budget }), extra, budgetId: 'bud_1' });
    expect(project(users, [made])).toMatchObject([
      {
        user_id: 'usr_1',
        role: 'internal_user',
        budget_nanos: 10n ** 19n + 1n,
        budget_window: '30d',
        budget_id: 'bud_1',
        extra: { softBudgetNanos: '3', budgets: [{ nanos: '5', window: '30s' }] },
        created_at: AT,
        created_by: 'default_user_id',
      },
    ]);
  });
});

describe('what is changed and removed', () => {
  const kinds = [
    [users, userRegistered(), 'user'],
    [customers, customerRegistered(), 'customer'],
    [budgets, budgetDefined(), 'budget'],
    [tags, tagDefined(), 'tag'],
  ] as const;
  test.each(kinds.map(([table, made, noun]) => ({ table, made, noun })))(
    'follows the $noun',
    ({ table, made, noun }) => {
      const changed = oneOfEach[`${noun}.changed`]();
      const removed = oneOfEach[`${noun}.removed`]();
      const [before] = project(table, [made]);
      const [after] = project(table, [made, changed]);
      expect(after).not.toEqual(before);
      expect(project(table, [made, changed, removed])).toEqual([]);
      expect(project(table, [made, removed, made])).toEqual([before]);
    },
  );

  test('an end user and a tag belong to their tenant', () => {
    for (const [table, made] of [
      [customers, customerRegistered()],
      [tags, tagDefined()],
    ] as const) {
      const removed: DomainEvent = {
        type: table === tags ? 'tag.removed' : 'customer.removed',
        data: { id: made.data.id },
      };
      const log = [
        ...recordedAll([made]),
        ...recordedAll([made], { tenantId: 'ten_2', position: 2n }),
        ...recordedAll([removed], { position: 3n }),
      ];
      expect(project(table, log)).toMatchObject([{ tenant_id: 'ten_2' }]);
    }
  });
});

describe('memberships', () => {
  test('of teams and organizations stand side by side and end with them', () => {
    const both = [projectMemberAdded(), tenantMemberAdded()];
    expect(project(members, both)).toMatchObject([
      { level: 'project', scope_id: 'prj_1', user_id: 'usr_1', tenant_id: 'ten_1', role: 'user' },
      { level: 'tenant', scope_id: 'ten_1', user_id: 'usr_1', tenant_id: 'ten_1', role: 'org_admin' },
    ]);
    expect(project(members, [...both, oneOfEach['project.closed']()])).toMatchObject([{ level: 'tenant' }]);
    expect(project(members, [...both, oneOfEach['tenant.closed']()])).toEqual([]);
    expect(
      project(members, [
        ...both,
        oneOfEach['project.member-removed'](),
        oneOfEach['tenant.member-removed'](),
      ]),
    ).toEqual([]);
    expect(
      project(members, [
        ...both,
        oneOfEach['project.member-changed'](),
        oneOfEach['tenant.member-changed'](),
      ]),
    ).toMatchObject([
      { role: 'admin' },
      { role: 'internal_user', limits: { budget: { nanos: '5', window: '1d' } } },
    ]);
  });
});

describe('invitations', () => {
  test('hold no token, and say what became of them', () => {
    const issued = invitationIssued();
    expect(JSON.stringify(project(invitations, [issued]))).not.toContain(issued.data.tokenHash);
    expect(project(invitations, [issued, oneOfEach['invitation.accepted']()])).toMatchObject([
      { status: 'accepted', accepted_at: AT },
    ]);
    expect(project(invitations, [issued, oneOfEach['invitation.withdrawn']()])).toMatchObject([
      { status: 'withdrawn', accepted_at: null },
    ]);
  });
});
