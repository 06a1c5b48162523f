import { type KeyExtra, NO_KEY_EXTRA, type RateKind } from '../domain/extra-limits.ts';
import { canonicalJson, type JsonObject } from '../domain/json.ts';
import { isoInstant } from '../domain/local-time.ts';
import type { KeyFields } from './key-fields.ts';
import { amountOf, badLimit, patchExtra } from './limit-fields.ts';

/**
 * The limits of a key beyond the usual ones, resolved from its fields. They are worked out when they
 * are agreed, so that whoever decides about a call has nothing to interpret.
 */

/** `options` are the key's echoed fields after the change. Throws Refusal(bad_request). */
export function keyExtraFrom(
  fields: KeyFields,
  now: KeyExtra | undefined,
  options: JsonObject,
): KeyExtra | undefined {
  const before = now ?? NO_KEY_EXTRA;
  const { budget_id: budgetId, enforced_params: enforced } = fields;
  const extra: KeyExtra = {
    ...patchExtra(fields, before),
    budgetId: budgetId === undefined ? before.budgetId : budgetId || null,
    temporary: temporaryFrom(options),
    enforcedParams: enforced === undefined ? before.enforcedParams : (enforced ?? []),
    requestsKind: kindFrom(fields.rpm_limit_type, before.requestsKind),
    tokensKind: kindFrom(fields.tpm_limit_type, before.tokensKind),
    rotation: rotationFrom(options),
  };
  // A key that never had any says nothing about them, as keys of earlier days do.
  return now === undefined && canonicalJson(extra) === canonicalJson(NO_KEY_EXTRA) ? undefined : extra;
}

function kindFrom(sent: RateKind | null | undefined, now: RateKind | null): RateKind | null {
  return sent === undefined ? now : sent;
}

function temporaryFrom(options: JsonObject): KeyExtra['temporary'] {
  const { temp_budget_increase: amount, temp_budget_expiry: expiry } = options;
  if (typeof amount !== 'number' || typeof expiry !== 'string') return null;
  const until = Date.parse(expiry);
  if (Number.isNaN(until))
    throw badLimit('temp_budget_expiry', 'must be an instant such as 2026-12-31T12:00:00Z');
  return { nanos: amountOf('temp_budget_increase', amount), until: isoInstant(until) };
}

function rotationFrom(options: JsonObject): KeyExtra['rotation'] {
  const { auto_rotate: rotates, rotation_interval: interval, key_rotation_at: dueAt } = options;
  if (rotates !== true || typeof interval !== 'string' || typeof dueAt !== 'string') return null;
  return { interval, dueAt };
}
