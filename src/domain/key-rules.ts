import { expiryAfter } from './duration.ts';
import { NO_KEY_EXTRA } from './extra-limits.ts';
import type { KeySettings } from './key.ts';
import type { KeyRules } from './plan.ts';
import { Refusal } from '../errors.ts';

/** What a plan says about keys beside their limits: how long they live, how often their secret changes, how many there are. */

/**
 * The settings of a key that is made or changed at an instant. What the rules want and nobody asked for
 * is put in; what goes beyond them is refused. Throws Refusal(key_rule).
 */
export function withKeyRules(rules: KeyRules | undefined, settings: KeySettings, at: string): KeySettings {
  if (rules === undefined) return settings;
  return withRotation(rules, withLifetime(rules, settings, at), at);
}

function withLifetime({ lifetimeMax }: KeyRules, settings: KeySettings, at: string): KeySettings {
  if (lifetimeMax === null) return settings;
  const latest = expiryAfter(at, lifetimeMax);
  const { expiresAt } = settings;
  if (expiresAt === null) return { ...settings, expiresAt: latest };
  if (expiresAt <= latest) return settings;
  throw new Refusal(
    'key_rule',
    { rule: 'lifetime_max', allowed: lifetimeMax, asked: expiresAt },
    { param: 'duration' },
  );
}

/** A key that rotates more often than it has to is left alone. */
function withRotation({ rotation }: KeyRules, settings: KeySettings, at: string): KeySettings {
  if (rotation === null) return settings;
  const extra = settings.extra ?? NO_KEY_EXTRA;
  const asked = extra.rotation;
  if (asked !== null) {
    if (expiryAfter(at, asked.interval) <= expiryAfter(at, rotation)) return settings;
    const detail = { rule: 'rotation', allowed: rotation, asked: asked.interval };
    throw new Refusal('key_rule', detail, { param: 'rotation_interval' });
  }
  const dueAt = expiryAfter(at, rotation);
  const options = {
    ...settings.options,
    auto_rotate: true,
    rotation_interval: rotation,
    key_rotation_at: dueAt,
  };
  return { ...settings, options, extra: { ...extra, rotation: { interval: rotation, dueAt } } };
}

/** Throws Refusal(key_rule) when there would be more than the rule allows. */
export function requireRoom(
  rule: 'keys_max' | 'projects_max',
  max: number | null | undefined,
  count: number,
): void {
  if (max != null && count > max)
    throw new Refusal('key_rule', { rule, allowed: String(max), asked: String(count) });
}
