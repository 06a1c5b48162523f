import type { CustomKeyGenerate } from '../custom-modules.ts';
import { expiryAfter } from '../domain/duration.ts';
import type { JsonObject } from '../domain/json.ts';
import { Refusal } from '../errors.ts';
import type { KeyPolicySettings, KeyRules } from '../litellm-keys.ts';
import type { Caller } from './caller.ts';
import type { HttpDeps, KeyPolicy } from './deps.ts';
import { requireDuration } from './durations.ts';
import { GenerateBody, type KeyFields } from './key-fields.ts';
import { isAdmin, userIdOf } from './permissions.ts';
import { nanosOf } from './schemas.ts';

/**
 * What the installation says about keys, beside contracts and makers: the config file's defaults,
 * upper bounds and rules, and the operator's own module. It is asked in LiteLLM's order: module,
 * rules, defaults, bounds. Contracts and makers may still narrow what is left.
 */
/** Throws an Error that names what is wrong in the settings. */
export function keyPolicy(settings: KeyPolicySettings, decide: CustomKeyGenerate | null): KeyPolicy {
  const { defaults, upperBounds, team, personal } = settings;
  const parsed = GenerateBody.omit({ key: true }).safeParse(defaults);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
    throw new Error(`default_key_generate_params is wrong: ${problems.join('; ')}`);
  }
  for (const name of ['duration', 'budget_duration'] as const) {
    const value = upperBounds[name];
    try {
      if (value !== undefined) requireDuration(name, value);
    } catch (error) {
      throw new Error(`upperbound_key_generate_params is wrong: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
  return { defaults: parsed.data, upperBounds, team, personal, decide };
}

/** The fields of a new key. Throws Refusal(key_generation_denied | bad_request). */
export async function newKeyByPolicy(
  { keyPolicy: policy }: HttpDeps,
  asked: KeyFields,
  { caller, route, at }: { readonly caller: Caller | null; readonly route: string; readonly at: string },
): Promise<KeyFields> {
  await requireDecision(policy, asked, caller, route);
  requireRules(policy, asked, caller);
  const given = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
  return withinBounds(policy, { ...policy.defaults, ...given }, at, true);
}

/** The fields of a changed key: what is named must keep within the bounds, what is cleared gets them. */
export function changedKeyByPolicy({ keyPolicy: policy }: HttpDeps, asked: KeyFields, at: string): KeyFields {
  return withinBounds(policy, asked, at, false);
}

async function requireDecision(
  { decide }: KeyPolicy,
  fields: KeyFields,
  caller: Caller | null,
  route: string,
): Promise<void> {
  if (decide === null) return;
  const { decision, message } = await decide({
    // Of its own: what the module does with it changes nothing.
    fields: JSON.parse(JSON.stringify(fields)) as JsonObject,
    caller: { userId: userIdOf(caller), role: roleOf(caller) },
    route,
  });
  if (!decision)
    throw new Refusal('key_generation_denied', { problem: message ?? 'This key may not be made.' });
}

function roleOf(caller: Caller | null): string {
  return caller?.role === 'user' ? caller.standing.role : (caller?.role ?? 'unknown');
}

function requireRules({ team, personal }: KeyPolicy, fields: KeyFields, caller: Caller | null): void {
  if (fields.team_id) {
    if (team === null || isAdmin(caller)) return;
    const role = caller?.role === 'user' ? caller.standing.projects.get(fields.team_id)?.role : undefined;
    if (team.roles !== null && !team.roles.includes(role ?? 'none')) {
      const problem = `Team member role ${role ?? 'none'} not in allowed_team_member_roles=${team.roles.join(', ')}.`;
      throw new Refusal('bad_request', { problem }, { param: 'team_id' });
    }
    return requireParams(team, fields);
  }
  if (personal === null) return;
  const role = roleOf(caller);
  if (personal.roles !== null && !personal.roles.includes(role)) {
    const problem = `Personal key creation has been restricted by admin. Allowed roles=${personal.roles.join(', ')}. Your role=${role}.`;
    throw new Refusal('bad_request', { problem });
  }
  requireParams(personal, fields);
}

function requireParams({ required }: KeyRules, fields: KeyFields): void {
  const named: Readonly<Record<string, unknown>> = fields;
  const missing = required.find((name) => named[name] == null);
  if (missing === undefined) return;
  throw new Refusal('bad_request', { problem: `Required param ${missing} not in data.` }, { param: missing });
}

const COUNTS = ['max_parallel_requests', 'tpm_limit', 'rpm_limit'] as const;

/** `whole`: what is left out is judged as well. */
function withinBounds(
  { upperBounds: bounds }: KeyPolicy,
  fields: KeyFields,
  at: string,
  whole: boolean,
): KeyFields {
  const result: { -readonly [N in keyof KeyFields]: KeyFields[N] } = { ...fields };
  const isOpen = (name: keyof KeyFields) => fields[name] == null && (whole || fields[name] === null);
  for (const name of COUNTS) {
    const most = bounds[name];
    if (most === undefined) continue;
    if (isOpen(name)) result[name] = most;
    else if (fields[name] != null && fields[name] > most) throw above(name, fields[name], most);
  }
  const { max_budget: budget, budget_duration: window, duration } = bounds;
  if (budget !== undefined) {
    if (isOpen('max_budget')) result.max_budget = budget;
    else if (fields.max_budget != null && nanosOf(fields.max_budget) > nanosOf(budget))
      throw above('max_budget', fields.max_budget, budget);
  }
  if (window !== undefined) {
    if (isOpen('budget_duration')) result.budget_duration = window;
    else if (fields.budget_duration != null && isLonger(at, fields.budget_duration, window))
      throw above('budget_duration', fields.budget_duration, window);
  }
  if (duration === undefined) return result;
  if (fields.expires != null && fields.duration == null) {
    // A date counts to its end, at most fourteen hours after that in UTC.
    if (fields.expires.slice(0, 10) > expiryAfter(at, duration).slice(0, 10))
      throw above('duration', fields.expires, duration);
  } else if (isOpen('duration') && (whole || fields.expires === null || fields.duration === null)) {
    result.duration = duration;
  } else if (fields.duration != null && isLonger(at, fields.duration, duration)) {
    throw above('duration', fields.duration, duration);
  }
  return result;
}

function isLonger(at: string, asked: string, most: string): boolean {
  if (asked === '-1') return true;
  requireDuration('duration', asked);
  return expiryAfter(at, asked) > expiryAfter(at, most);
}

function above(field: string, value: string | number, most: string | number): Refusal {
  const problem = `${field} is over max limit set in config - user_value=${value}; max_value=${most}.`;
  return new Refusal('bad_request', { problem }, { param: field });
}
