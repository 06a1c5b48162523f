import { expect, test } from 'vitest';
import { NO_KEY_EXTRA } from '../../src/domain/extra-limits.ts';
import { requireRoom, withKeyRules } from '../../src/domain/key-rules.ts';
import type { KeyRules } from '../../src/domain/plan.ts';
import { keySettings } from '../support/events.ts';
import { refusalOf } from '../support/specification.ts';

const AT = '2026-11-20T10:00:00.000Z';
const RULES: KeyRules = { lifetimeMax: '30d', rotation: '7d', keysMax: 2, projectsMax: null };
const only = (rule: Partial<KeyRules>): KeyRules => ({
  lifetimeMax: null,
  rotation: null,
  keysMax: null,
  projectsMax: null,
  ...rule,
});

test('a key gets the lifetime and the rotation that nobody asked for', () => {
  expect(withKeyRules(RULES, keySettings({ expiresAt: null }), AT)).toMatchObject({
    expiresAt: '2026-12-20T10:00:00.000Z',
    options: { auto_rotate: true, rotation_interval: '7d', key_rotation_at: '2026-11-27T10:00:00.000Z' },
    extra: { rotation: { interval: '7d', dueAt: '2026-11-27T10:00:00.000Z' } },
  });
  const settings = keySettings({ expiresAt: null });
  expect(withKeyRules(undefined, settings, AT)).toBe(settings);
});

test('a shorter life and a faster rotation stay, longer ones are refused', () => {
  const short = keySettings({ expiresAt: '2026-11-21T10:00:00.000Z' });
  expect(withKeyRules(only({ lifetimeMax: '30d' }), short, AT)).toEqual(short);
  const long = keySettings({ expiresAt: '2027-11-21T10:00:00.000Z' });
  expect(refusalOf(() => withKeyRules(RULES, long, AT)).detail).toMatchObject({ rule: 'lifetime_max' });
  const rotating = (interval: string) =>
    keySettings({ extra: { ...NO_KEY_EXTRA, rotation: { interval, dueAt: AT } } });
  expect(withKeyRules(only({ rotation: '7d' }), rotating('1d'), AT)).toEqual(rotating('1d'));
  const slow = () => withKeyRules(only({ rotation: '7d' }), rotating('30d'), AT);
  expect(refusalOf(slow).detail).toMatchObject({ rule: 'rotation', allowed: '7d', asked: '30d' });
});

test('one too many is refused, and without a rule none is', () => {
  requireRoom('keys_max', 2, 2);
  requireRoom('projects_max', null, 1_000);
  expect(refusalOf(() => requireRoom('keys_max', 2, 3)).code).toBe('key_rule');
});
