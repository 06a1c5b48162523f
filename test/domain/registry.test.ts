import { describe, expect, test } from 'vitest';
import { fold } from '../../src/domain/decider.ts';
import { user, type UserEvent } from '../../src/domain/user.ts';
import { limits, userRegistered } from '../support/events.ts';
import { specification } from '../support/specification.ts';

const given = specification(user);
const registered = userRegistered();
const { data } = registered;
const changed: UserEvent = {
  type: 'user.changed',
  data: { ...data, limits: limits({ requestsPerMinute: 1 }) },
};
const removed: UserEvent = { type: 'user.removed', data: { id: 'usr_1' } };

describe('a registered thing', () => {
  test('is made once, and again after it was removed', () => {
    given().when({ type: 'make', data }).gives(registered).andThen({ status: 'present', data });
    given(registered).when({ type: 'make', data }).refuses('user_exists', { id: 'usr_1' });
    given(registered, removed).when({ type: 'make', data }).gives(registered);
  });

  test('changes in the members that are named, and stays as it is when nothing differs', () => {
    const command = { type: 'change', data: { limits: changed.data.limits } } as const;
    given(registered).when(command).gives(changed).andNothingWhenRepeated();
    given(registered).when({ type: 'change', data: {} }).gives();
  });

  test('is removed, and then there is none', () => {
    given(registered, changed).when({ type: 'remove' }).gives(removed).andThen({ status: 'removed' });
    for (const history of [[], [registered, removed]]) {
      given(...history)
        .when({ type: 'remove' })
        .refuses('not_found', { what: 'user' });
      given(...history)
        .when({ type: 'change', data: { role: 'proxy_admin' } })
        .refuses('not_found');
    }
  });

  test('is folded from any events', () => {
    expect(fold(user, [removed, changed])).toEqual({ status: 'present', data: changed.data });
  });
});
