import { describe, expect, test } from 'vitest';
import { fold } from '../../src/domain/decider.ts';
import { key, type KeyCommand, type KeyEvent, type KeySettings } from '../../src/domain/key.ts';
import { specification } from '../support/specification.ts';
import { someLimits } from '../support/terms.ts';

const given = specification(key);
const keyId = 'key_1';
const settings: KeySettings = {
  alias: null,
  userId: null,
  projectId: 'prj_1',
  environment: 'production',
  expiresAt: null,
  aliases: {},
  allowedRoutes: [],
  metadata: { owner: 'team-a', nested: { tags: ['x'] } },
  options: {},
};
const facts = {
  keyId,
  tenantId: 'ten_1',
  tokenHash: 'hash-1',
  keyName: 'sk-...0001',
  limits: someLimits(),
  settings,
};

const generated: KeyEvent = { type: 'key.generated', data: facts };
const blocked: KeyEvent = { type: 'key.blocked', data: { keyId } };
const unblocked: KeyEvent = { type: 'key.unblocked', data: { keyId } };
const deleted: KeyEvent = { type: 'key.deleted', data: { keyId, tokenHash: 'hash-1' } };
const rotatedTo = (n: number, graceEndsAt: string | null = null): KeyEvent => ({
  type: 'key.rotated',
  data: {
    keyId,
    tokenHash: `hash-${n}`,
    keyName: `sk-...000${n}`,
    oldTokenHash: `hash-${n - 1}`,
    graceEndsAt,
  },
});
const rotate = { type: 'rotate', tokenHash: 'hash-2', keyName: 'sk-...0002', graceEndsAt: null } as const;

describe('a new key', () => {
  test('is generated once', () => {
    given()
      .when({ type: 'generate', key: facts })
      .gives(generated)
      .andThen({ status: 'active', rotations: 0 });
    given(generated).when({ type: 'generate', key: facts }).refuses('key_already_exists');
    given(generated, deleted).when({ type: 'generate', key: facts }).refuses('key_already_exists');
  });

  test('may start out blocked', () => {
    given()
      .when({ type: 'generate', key: facts, blocked: true })
      .gives(generated, blocked)
      .andThen({ status: 'blocked' });
    given().when({ type: 'generate', key: facts, blocked: false }).gives(generated);
  });
});

describe('a change', () => {
  test('of limits leaves the other limits alone', () => {
    given(generated)
      .when({ type: 'change', limits: { requestsPerMinute: 5 } })
      .gives({ type: 'key.limits-changed', data: { keyId, limits: someLimits({ requestsPerMinute: 5 }) } })
      .andNothingWhenRepeated();
  });

  test('of settings leaves the other settings alone', () => {
    given(generated)
      .when({ type: 'change', settings: { alias: 'web' } })
      .gives({ type: 'key.changed', data: { keyId, settings: { ...settings, alias: 'web' } } })
      .andNothingWhenRepeated();
  });

  test('of everything at once is told in three events', () => {
    given(generated)
      .when({ type: 'change', limits: { budget: null }, settings: { userId: 'u-1' }, blocked: true })
      .gives(
        { type: 'key.limits-changed', data: { keyId, limits: someLimits({ budget: null }) } },
        { type: 'key.changed', data: { keyId, settings: { ...settings, userId: 'u-1' } } },
        blocked,
      )
      .andNothingWhenRepeated();
  });

  test('to what it is already is none, whatever the order of members', () => {
    const metadata = { nested: { tags: ['x'] }, owner: 'team-a' };
    given(generated)
      .when({ type: 'change', limits: { ...someLimits() }, settings: { metadata }, blocked: false })
      .gives();
    given(generated).when({ type: 'change' }).gives();
  });
});

describe('blocking', () => {
  test('and unblocking work, and doing it twice changes nothing', () => {
    given(generated).when({ type: 'block' }).gives(blocked).andNothingWhenRepeated();
    given(generated, blocked).when({ type: 'unblock' }).gives(unblocked).andNothingWhenRepeated();
    given(generated).when({ type: 'unblock' }).gives();
  });

  test('outlives a rotation', () => {
    expect(fold(key, [generated, blocked, rotatedTo(2)])).toMatchObject({
      status: 'blocked',
      tokenHash: 'hash-2',
    });
  });
});

describe('rotation', () => {
  test('replaces the secret at once, or after a grace period', () => {
    given(generated)
      .when(rotate)
      .gives(rotatedTo(2))
      .andThen({ oldTokenHash: 'hash-1', graceEndsAt: null, rotations: 1 });
    const graceEndsAt = '2026-11-21T00:00:00.000Z';
    given(generated)
      .when({ ...rotate, graceEndsAt })
      .gives(rotatedTo(2, graceEndsAt))
      .andThen({ graceEndsAt });
  });

  test('remembers only the last secret before the new one', () => {
    expect(fold(key, [generated, rotatedTo(2, '2030-01-01T00:00:00.000Z'), rotatedTo(3)])).toMatchObject({
      tokenHash: 'hash-3',
      oldTokenHash: 'hash-2',
      graceEndsAt: null,
      rotations: 2,
    });
  });

  test('can change limits and settings on the way', () => {
    given(generated)
      .when({ ...rotate, limits: { parallelRequests: 1 }, settings: { alias: 'new' } })
      .gives(
        rotatedTo(2),
        { type: 'key.limits-changed', data: { keyId, limits: someLimits({ parallelRequests: 1 }) } },
        { type: 'key.changed', data: { keyId, settings: { ...settings, alias: 'new' } } },
      );
  });

  test('to the secret that it has is refused', () => {
    given(generated)
      .when({ ...rotate, tokenHash: 'hash-1' })
      .refuses('key_already_exists');
  });
});

describe('a key that is not there', () => {
  const commands: KeyCommand[] = [
    { type: 'change' },
    { type: 'block' },
    { type: 'unblock' },
    rotate,
    { type: 'delete' },
  ];

  test('because it never was, refuses everything', () => {
    for (const command of commands) given().when(command).refuses('key_not_found');
  });

  test('because it was deleted, can never come back', () => {
    given(generated).when({ type: 'delete' }).gives(deleted).andThen({ status: 'deleted', keyId });
    for (const command of commands) given(generated, deleted).when(command).refuses('key_deleted');
  });

  test('is deleted under the secret that it has now', () => {
    given(generated, rotatedTo(2))
      .when({ type: 'delete' })
      .gives({ type: 'key.deleted', data: { keyId, tokenHash: 'hash-2' } });
  });

  test('takes any event without failing and stays gone', () => {
    for (const history of [[], [generated, deleted]]) {
      const state = fold(key, history);
      for (const event of [blocked, unblocked, rotatedTo(2), deleted])
        expect(key.evolve(state, event)).toEqual(state);
    }
  });
});
