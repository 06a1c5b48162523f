import { z } from 'zod';
import { RATE_KINDS } from '../domain/extra-limits.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import { type Limits, UNLIMITED } from '../domain/limits.ts';
import { type MemberLimits, PROJECT_ROLES } from '../domain/project.ts';
import { canonicalJson } from '../domain/json.ts';
import { requireDuration } from './durations.ts';
import { amountOf, badLimit, limitFields, modelsField } from './limit-fields.ts';
import { ProjectId } from './open-project.ts';
import { Amount, AnyJson, optional, ShortText, Texts, Whole } from './schemas.ts';

/** The fields of a team in a request, as LiteLLM names them. */
const optionFields = {
  metadata: optional(AnyJson),
  tags: optional(Texts),
  guardrails: optional(Texts),
  policies: optional(Texts),
  prompts: optional(Texts),
  model_aliases: optional(z.record(z.string(), ShortText)),
  object_permission: optional(AnyJson),
  allowed_passthrough_routes: optional(Texts),
  secret_manager_settings: optional(AnyJson),
  router_settings: optional(AnyJson),
  access_group_ids: optional(Texts),
  tpm_limit_type: optional(z.enum(RATE_KINDS)),
  rpm_limit_type: optional(z.enum(RATE_KINDS)),
  team_member_key_duration: optional(z.string().max(50)),
};

const teamFields = {
  team_alias: optional(z.string().max(200)),
  organization_id: optional(ShortText).describe("Id of the tenant; the agency's own by default"),
  ...limitFields,
  ...modelsField,
  budget_id: optional(ShortText),
  blocked: optional(z.boolean()),
  team_member_permissions: optional(Texts),
  team_member_budget: optional(Amount),
  team_member_budget_duration: optional(z.string().max(50)),
  team_member_rpm_limit: optional(Whole),
  team_member_tpm_limit: optional(Whole),
  ...optionFields,
};

export const MemberBody = z.object({
  user_id: optional(z.string().min(1).max(100)),
  user_email: optional(z.email().max(254)),
  role: z.enum(PROJECT_ROLES).default('user'),
});

export const NewTeamBody = z.object({
  ...teamFields,
  team_id: optional(ProjectId),
  members_with_roles: optional(z.array(MemberBody).max(500)),
});
export const UpdateTeamBody = z.object({ ...teamFields, team_id: z.string().min(1).max(100) });
export type TeamFields = z.output<typeof UpdateTeamBody>;

/** What a team's admin may change of it. The rest is what the team was given. */
export const TEAM_ADMIN_FIELDS: ReadonlySet<string> = new Set([
  'team_id',
  'team_alias',
  'metadata',
  'tags',
  'guardrails',
  'policies',
  'prompts',
  'team_member_permissions',
  'team_member_budget',
  'team_member_budget_duration',
  'team_member_rpm_limit',
  'team_member_tpm_limit',
  'team_member_key_duration',
]);

type OptionName = keyof typeof optionFields;

export function teamOptionsFrom(fields: Partial<Pick<TeamFields, OptionName>>, now: JsonObject): JsonObject {
  const options: Record<string, Json> = { ...now };
  for (const name of Object.keys(optionFields) as OptionName[]) {
    const value = fields[name];
    if (value === null) delete options[name];
    else if (value !== undefined) options[name] = value;
  }
  const lifetime = options['team_member_key_duration'];
  if (typeof lifetime === 'string') requireDuration('team_member_key_duration', lifetime);
  return options;
}

/** What members have who have no limits of their own. */
export function memberDefaultsFrom(fields: Omit<TeamFields, 'team_id'>, now: MemberLimits): MemberLimits {
  return memberLimitsFrom(
    {
      max_budget_in_team: fields.team_member_budget,
      budget_duration: fields.team_member_budget_duration,
      rpm_limit: fields.team_member_rpm_limit,
      tpm_limit: fields.team_member_tpm_limit,
    },
    now,
  );
}

export interface MemberLimitFields {
  readonly max_budget_in_team?: z.output<typeof Amount> | null | undefined;
  readonly budget_duration?: string | null | undefined;
  readonly rpm_limit?: number | null | undefined;
  readonly tpm_limit?: number | null | undefined;
}

export function memberLimitsFrom(fields: MemberLimitFields, now: MemberLimits): MemberLimits {
  const { max_budget_in_team: amount, budget_duration: duration } = fields;
  const window = duration === undefined ? (now.budget?.window ?? null) : duration || null;
  if (window !== null) requireDuration('budget_duration', window);
  const nanos =
    amount === undefined
      ? now.budget?.nanos
      : amount === null
        ? undefined
        : amountOf('max_budget_in_team', amount);
  return {
    requestsPerMinute: count('rpm_limit', fields.rpm_limit, now.requestsPerMinute),
    tokensPerMinute: count('tpm_limit', fields.tpm_limit, now.tokensPerMinute),
    budget: nanos === undefined ? null : { nanos, window },
  };
}

function count(field: string, value: number | null | undefined, now: number | null): number | null {
  if (value === undefined) return now;
  if (value !== null && value < 0) throw badLimit(field, 'must not be negative');
  return value;
}

/** Null when nothing is limited, so that the contract alone holds. */
export function limitsOrNull(limits: Limits): Limits | null {
  return canonicalJson(limits) === canonicalJson(UNLIMITED) ? null : limits;
}
